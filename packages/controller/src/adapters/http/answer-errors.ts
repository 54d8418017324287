// Every failure of the HTTP API becomes one problem body (RFC 9457): the API's own refusals, those of the wire, and
// what fastify itself finds wrong with a request. What nobody expected is logged and told without details.
import { ProtocolError } from '@longshore/protocol'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { ApiError } from '../../api/errors.ts'
import { problemOfApi, problemOfProtocol, problemType } from '../../api/problems.ts'
import type { Problem } from '../../api/schemas.ts'
import { type Log, StoreFull } from '../../ports.ts'
import { isKnowable } from './access.ts'

export const answerErrors = (app: FastifyInstance, log: Log): void => {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = problemOf(error, request)
    if (problem.status >= 500) log.error({ err: error, url: request.url }, 'a request failed')
    return send(reply, problem)
  })
  app.setNotFoundHandler((request, reply) =>
    send(
      reply,
      problemOfApi(new ApiError('unknown-route', `${request.method} ${request.url.split('?', 1)[0]}`))
    )
  )
}

/** Before any route is found. Not quoted: some write a token into an address. */
export const answerAddressError = (
  error: Error & { code: string },
  _request: unknown,
  reply: FastifyReply
): void => {
  const detail =
    error.code === 'FST_ERR_MAX_PARAM_LENGTH'
      ? 'a name in the address is too long'
      : 'the address is not valid'
  send(reply, problemOfApi(new ApiError('invalid-request', detail)))
}

/** Serialised here: the route's schemas are for its answers. */
const send = (reply: FastifyReply, problem: Problem): FastifyReply => {
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer')
  return reply
    .code(problem.status)
    .type(problemType)
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problem)
}

const problemOf = (error: FastifyError, request: FastifyRequest): Problem => {
  if (error instanceof ApiError) return problemOfApi(error, isKnowable(request))
  if (error instanceof ProtocolError) return problemOfProtocol(error)
  if (hasZodFastifySchemaValidationErrors(error)) return problemOfApi(invalidField(error))
  if (error instanceof StoreFull)
    return problemOfApi(new ApiError('storage-full', `${error.message}; nothing was changed`))
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return problemOfApi(new ApiError('too-large', error.message))
  if (error.statusCode !== undefined && error.statusCode < 500) {
    return problemOfApi(new ApiError('invalid-request', error.message))
  }
  return problemOfApi(new ApiError('internal', 'see the log of the controller'))
}

const invalidField = (error: FastifyError): ApiError => {
  const where = error.validationContext ?? 'request'
  const found = (error.validation ?? []).map(({ instancePath, message }) => {
    const field = instancePath.slice(1).replaceAll('/', '.')
    return `${field === '' ? where : `${where}.${field}`}: ${message ?? 'is not valid'}`
  })
  return new ApiError('invalid-request', found.join('; '))
}
