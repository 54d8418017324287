// A controller whose images lay in files before a registry took over: what is in the files still is served from there,
// and goes when nothing needs it. New content goes to the registry alone.
import type { Blobs } from '../image-ports.ts'

/** @param former is asked first: it is near, and the other one may be away */
export const withFormerBlobs = (blobs: Blobs, former: Blobs): Blobs => ({
  ...blobs,
  open: async (digest) => (await former.open(digest)) ?? (await blobs.open(digest)),
  read: async (digest, maxBytes) =>
    (await former.read(digest, maxBytes)) ?? (await blobs.read(digest, maxBytes)),
  unusedSince: async (beforeMs) => [
    ...(await former.unusedSince(beforeMs)),
    ...(await blobs.unusedSince(beforeMs))
  ],
  removeUnused: async (digest, beforeMs) =>
    (await former.removeUnused(digest, beforeMs)) || (await blobs.removeUnused(digest, beforeMs))
})
