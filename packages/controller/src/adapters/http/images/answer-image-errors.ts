// Every failure below /v2/ in the form that clients of registries read: OCI Distribution Specification 1.1, "Error
// Codes". Our own code goes along as `detail`, where there is one.
import { ProtocolError } from '@longshore/protocol'
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify'
import { ApiError, type ApiErrorCode } from '../../../api/errors.ts'
import { ImageError, type ImageErrorCode } from '../../../core/images/image-error.ts'
import { type Log, StoreFull } from '../../../ports.ts'

export const answerImageErrors = (app: FastifyInstance, log: Log): void => {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const refusal = refusalOf(error)
    if (refusal.status >= 500) log.error({ err: error, url: request.url }, 'a request for an image failed')
    return send(reply, refusal)
  })
}

/** Those that the rest of the API has too, by their names there: exit codes of the CLI follow from them. */
const apiCodes: Partial<Record<ImageErrorCode, ApiErrorCode>> = {
  UNAUTHORIZED: 'unauthenticated',
  DENIED: 'forbidden',
  TOOMANYREQUESTS: 'rate-limited',
  STORAGE_FULL: 'storage-full',
  UNAVAILABLE: 'stopping',
  UNKNOWN: 'internal'
}

/** Docker asks without a token first and learns here that it has to send one. */
const send = (reply: FastifyReply, refusal: ImageError): FastifyReply => {
  if (refusal.status === 401) reply.header('www-authenticate', 'Basic realm="Longshore"')
  const { code, message } = refusal
  const known = apiCodes[code]
  const detail = known === undefined ? {} : { detail: { code: known } }
  return reply
    .code(refusal.status)
    .type('application/json')
    .send(JSON.stringify({ errors: [{ code, message, ...detail }] }))
}

const refusalOf = (error: FastifyError): ImageError => {
  if (error instanceof ImageError) return error
  if (error instanceof StoreFull) return new ImageError('STORAGE_FULL', error.message)
  const codes = Object.entries(apiCodes) as [ImageErrorCode, ApiErrorCode][]
  const known = codes.find(([, code]) => 'code' in error && code === error.code)
  if (known !== undefined && (error instanceof ApiError || error instanceof ProtocolError)) {
    return new ImageError(known[0], error.message)
  }
  if (error.statusCode === 413) return new ImageError('SIZE_INVALID', error.message)
  return new ImageError('UNKNOWN', 'the controller failed; see its log')
}
