// What HAProxy's failures mean to a run. The adapter makes them; steps decide by `code`, never by text.
import type { RunErrorCode } from '@longshore/protocol'

export type ProxyErrorCode = Extract<RunErrorCode, 'proxy-missing' | 'proxy-error' | 'port-taken'>

/** Thrown by every call of the Proxy port. */
export class ProxyError extends Error {
  override readonly name = 'ProxyError'
  readonly code: ProxyErrorCode

  /** @param message for people, with the remedy where there is one */
  constructor(code: ProxyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
