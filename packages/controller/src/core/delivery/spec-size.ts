// Does a spec fit into the commands that will carry it? Asked when it is applied: at a deployment it would be too
// late, and the person who could shorten it is somebody else.
import { limits, type ServiceSpec } from '@longshore/protocol'

/** Ids, fence, image (repository 512, tag 128), a container's name and the JWS header, with room to spare. */
const envelopeBytes = 8 * 1024

/** UTF-8 bytes of a spec's JSON. Base64url makes four characters of three bytes. */
export const maxSpecBytes = (limits.maxCommandBytes * 3) / 4 - envelopeBytes

/** @returns UTF-8 bytes of the spec's JSON, as a command carries it */
export const specBytes = (spec: ServiceSpec): number => new TextEncoder().encode(JSON.stringify(spec)).length
