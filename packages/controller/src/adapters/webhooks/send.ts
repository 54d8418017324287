// One POST to a receiver: signed, without redirects, within a time limit, reading no more of the answer than is
// shown. Whether and when to try again is core/notifications/retry.ts's.
import { createHmac } from 'node:crypto'
import { type IncomingMessage, request as requestPlain } from 'node:http'
import { type RequestOptions, request as requestTls } from 'node:https'
import { type ConnectionOptions, createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { keyOfSecret, signedHeaders, signInput, timestampOf } from '../../core/notifications/sign-input.ts'
import { withoutUrl } from '../../core/notifications/target.ts'
import type { WebhookSender } from '../../ports.ts'

/** From the first packet to the head of the answer; the specification recommends 15 to 30 s. */
const answerWithinMs = 15_000
/** Of the answer's body; what follows is not read. */
const maxShownBytes = 1024

/** @param options.ca PEM; null: Node's list and the system's. @param options.answerWithinMs for tests */
export const createWebhookSender = (options: {
  ca: string | null
  userAgent: string
  answerWithinMs?: number
}): WebhookSender => {
  const { ca, userAgent, answerWithinMs: limitMs = answerWithinMs } = options
  let context: SecureContext | undefined
  /** Costs some megabytes with the system's list: made once, and only for https. */
  const trusted = (): SecureContext => {
    context ??= createSecureContext({
      ca: ca ?? [...getCACertificates('default'), ...getCACertificates('system')]
    })
    return context
  }
  return {
    send: async ({ url: text, secret }, message, signal) => {
      const url = new URL(text)
      const body = Buffer.from(message.body)
      const asked: RequestOptions & Pick<ConnectionOptions, 'secureContext'> = {
        method: 'POST',
        // a new connection each time: a kept one may have died since, and that is no answer
        agent: false,
        signal: AbortSignal.any([signal, AbortSignal.timeout(limitMs)]),
        headers: {
          'content-type': 'application/json',
          'content-length': body.length,
          'user-agent': userAgent,
          ...(secret === null ? {} : sign(secret, message))
        }
      }
      try {
        if (url.protocol === 'https:') asked.secureContext = trusted()
        const answer = await post(url, asked, body)
        const status = answer.statusCode ?? 0
        return { status, detail: withoutUrl(`${status} ${await readStart(answer)}`.trim(), url) }
      } catch (error) {
        return { status: null, detail: withoutUrl(failureOf(error, limitMs), url) }
      }
    }
  }
}

const sign = (secret: string, { id, atMs, body }: { id: string; atMs: number; body: string }) => {
  const timestamp = timestampOf(atMs)
  const hmac = createHmac('sha256', Buffer.from(keyOfSecret(secret), 'base64'))
  return signedHeaders(id, timestamp, hmac.update(signInput(id, timestamp, body)).digest('base64'))
}

const post = (url: URL, options: RequestOptions, body: Buffer): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const open = url.protocol === 'https:' ? requestTls : requestPlain
    const outgoing = open(url, options, resolve)
    outgoing.on('error', reject)
    outgoing.end(body)
  })

/** The status alone decides: a body that never ends, or breaks, changes nothing. */
const readStart = async (answer: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes >= maxShownBytes) break
    }
  } catch {
    // broken off, or not finished in time
  }
  answer.destroy()
  const text = Buffer.concat(chunks).subarray(0, maxShownBytes).toString('utf8')
  return text.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim()
}

const failureOf = (error: unknown, limitMs: number): string => {
  if (!(error instanceof Error)) return 'no answer'
  if (error.name === 'AbortError' || error.name === 'TimeoutError')
    return `no answer within ${limitMs / 1000} s`
  // with several addresses tried, Node's own message is empty and the reasons are inside
  const reasons = error instanceof AggregateError ? error.errors : [error]
  return `no answer: ${reasons.map((one) => (one instanceof Error ? one.message : String(one))).join('; ')}`
}
