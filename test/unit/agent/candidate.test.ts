// A version that is tried beside the running one: what it does while the controller is away, and when it gives up.
import { randomBytes } from 'node:crypto'
import { generateSigningKey, type HelloMessage } from '@longshore/protocol'
import t from 'tap'
import { createClock } from '../../../packages/agent/src/adapters/clock.ts'
import { proveCandidate } from '../../../packages/agent/src/candidate.ts'
import { silent } from '../../support/wire-agent.ts'

t.test(
  'a controller that is away is asked again until the time is up, and then it is said why',
  async (t) => {
    const { key: signing } = await generateSigningKey()
    let nowMs = 0
    const clock = {
      ...createClock(),
      monotonicMs: () => nowMs,
      after: (delayMs: number, wake: () => void) => {
        nowMs += delayMs
        setImmediate(wake)
        return () => undefined
      }
    }
    let dials = 0
    const dial = (_assertion: string, { lost }: { lost(detail: string): void }) => {
      dials += 1
      setImmediate(() => lost('connect ECONNREFUSED'))
      return () => undefined
    }
    const party = { signing, installation: 'ins_00000000000000000000' as never, keyOf: () => undefined }
    const ports = { dial, clock, log: silent, randomBytes }
    await t.rejects(proveCandidate(ports as never, party, {} as HelloMessage), {
      code: 'not-enrolled',
      message: /lost: .*ECONNREFUSED/
    })
    t.ok(dials > 50, `${dials} times`)
    t.ok(nowMs >= 45_000)
  }
)
