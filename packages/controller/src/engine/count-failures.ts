// Has this address failed too often lately? Shared by everything that lets strangers try: API tokens, enrolment,
// assertions. The rule is the protocol's; only the table is here.
import {
  countFailure,
  type FailureCount,
  isForgotten,
  ProtocolError,
  rateKeyOf,
  waitMsOf
} from '@longshore/protocol'
import type { Clock } from '../ports.ts'

/** Addresses remembered; beyond it the forgotten ones are dropped, then the oldest. */
const maxAddresses = 10_000

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
