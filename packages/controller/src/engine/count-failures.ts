// Has this address failed too often lately? Shared by everything that lets strangers try: API tokens, enrolment,
// assertions. The rule is the protocol's; only the table is here.
import {
  countFailure,
  type FailureCount,
  isForgotten,
  ProtocolError,
  type ProtocolErrorCode,
  rateKeyOf,
  waitMsOf
} from '@longshore/protocol'
import type { Clock } from '../ports.ts'

/** Addresses remembered; beyond it the forgotten ones are dropped, then the oldest. */
const maxAddresses = 10_000

/**
 * Who was recognised is no stranger: these refusals do not count against the address. Nor does an unknown key: nobody
 * finds one by trying, and after a restore all agents behind one address would keep each other out.
 */
const harmless: readonly ProtocolErrorCode[] = [
  'held',
  'revoked',
  'clock-skew',
  'unsupported-version',
  'unknown-agent',
  'rate-limited'
]

export const isHarmless = (code: ProtocolErrorCode): boolean => harmless.includes(code)

export type Failures = {
  /** @throws ProtocolError `rate-limited` */
  demandPatience(address: string): void
  count(address: string): void
}

export const createFailures = ({ clock }: { clock: Clock }): Failures => {
  const byAddress = new Map<string, FailureCount>()
  const makeRoom = (nowMs: number): void => {
    if (byAddress.size < maxAddresses) return
    for (const [key, count] of byAddress) if (isForgotten(count, nowMs)) byAddress.delete(key)
    const oldest = byAddress.keys().next()
    if (byAddress.size >= maxAddresses && !oldest.done) byAddress.delete(oldest.value)
  }
  return {
    demandPatience: (address) => {
      const waitMs = waitMsOf(byAddress.get(rateKeyOf(address)), clock.nowMs())
      if (waitMs > 0) throw new ProtocolError('rate-limited', `try again in ${Math.ceil(waitMs / 1000)} s`)
    },
    count: (address) => {
      const key = rateKeyOf(address)
      const nowMs = clock.nowMs()
      makeRoom(nowMs)
      byAddress.set(key, countFailure(byAddress.get(key), nowMs))
    }
  }
}
