// What a refusal over HTTP says (RFC 9457), read without trusting it: it is not signed, so it may delay the agent
// or make it stop, but never make it do anything.
import { isProtocolErrorCode, type ProtocolErrorCode } from '@longshore/protocol'
import * as z from 'zod'
import type { HttpAnswer } from './link.ts'
import { parseJson } from './parse-json.ts'

const problem = z.object({
  code: z.string().max(64).optional(),
  detail: z.string().max(2000).optional(),
  title: z.string().max(200).optional(),
  /** JWS of kind `time`, with the code clock-skew. */
  time: z.string().optional()
})

/** @property code null: none that this agent knows, a balancer's error page for example */
export type Refusal = { code: ProtocolErrorCode | null; detail: string; time: string | null }

export const readProblem = (answer: HttpAnswer): Refusal => {
  const parsed = problem.safeParse(parseJson(answer.body))
  const { code, detail, title, time } = parsed.success ? parsed.data : {}
  return {
    code: code !== undefined && isProtocolErrorCode(code) ? code : null,
    detail: detail ?? title ?? `HTTP status ${answer.status}`,
    time: time ?? null
  }
}
