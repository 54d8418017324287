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
    return send(reply, refusal, error instanceof ApiError ? error.code : undefined)
  })
}

/** Docker asks without a token first and learns here that it has to send one. */
const send = (reply: FastifyReply, refusal: ImageError, code: string | undefined): FastifyReply => {
  if (refusal.status === 401) reply.header('www-authenticate', 'Basic realm="Longshore"')
  const { message } = refusal
  const detail = code === undefined ? {} : { detail: { code } }
  return reply
    .code(refusal.status)
    .type('application/json')
    .send(JSON.stringify({ errors: [{ code: refusal.code, message, ...detail }] }))
}

const codes: Partial<Record<ApiErrorCode, ImageErrorCode>> = {
  unauthenticated: 'UNAUTHORIZED',
  forbidden: 'DENIED',
  stopping: 'UNAVAILABLE'
}

const refusalOf = (error: FastifyError): ImageError => {
  if (error instanceof ImageError) return error
  if (error instanceof StoreFull) return new ImageError('STORAGE_FULL', error.message)
  if (error instanceof ProtocolError && error.code === 'rate-limited')
    return new ImageError('TOOMANYREQUESTS', error.message)
  const code = error instanceof ApiError ? codes[error.code] : undefined
  if (code !== undefined) return new ImageError(code, error.message)
  if (error.statusCode === 413) return new ImageError('SIZE_INVALID', error.message)
  return new ImageError('UNKNOWN', 'the controller failed; see its log')
}
