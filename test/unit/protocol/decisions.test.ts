// Reconnecting, duplicate sessions, failures per address: the decisions of a session that need no frames.
import {
  beginDuplicate,
  countFailure,
  decideReconnect,
  type FailureCount,
  rateKeyOf,
  reconnectReasonOf,
  stepDuplicate,
  waitMsOf
} from '@longshore/protocol'
import fc from 'fast-check'
import t from 'tap'

const lost = { lastSessionMs: null, reason: 'lost', random: 1 } as const

t.test('the reconnect delay doubles up to its cap and is reset by a session of a minute', (t) => {
  const delays: number[] = []
  let attempt = 0
  for (let i = 0; i < 9; i++) {
    const decision = decideReconnect({ ...lost, attempt })
    delays.push(decision.delayMs)
    attempt = decision.attempt
  }
  t.same(delays, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
  t.same(decideReconnect({ ...lost, attempt, lastSessionMs: 59_999 }), { delayMs: 30_000, attempt: 10 })
  t.same(decideReconnect({ ...lost, attempt, lastSessionMs: 60_000 }), { delayMs: 250, attempt: 1 })
  t.same(decideReconnect({ ...lost, attempt, random: 0 }), { delayMs: 0, attempt: 10 })
  t.end()
})

t.test('bye(reconnect) comes back at once, but not in a loop', (t) => {
  const asked = { lastSessionMs: 10, reason: 'reconnect', random: 1 } as const
  t.same(decideReconnect({ ...asked, attempt: 0 }), { delayMs: 0, attempt: 1 })
  t.same(decideReconnect({ ...asked, attempt: 1 }), { delayMs: 500, attempt: 2 })
  t.same(decideReconnect({ ...asked, attempt: 5, lastSessionMs: 60_000 }), { delayMs: 0, attempt: 1 })
  t.end()
})

t.test('only what an operator must change backs off to an hour', (t) => {
  for (const reason of ['revoked', 'unknown-agent', 'unsupported-version'] as const) {
    t.equal(decideReconnect({ ...lost, reason, attempt: 30 }).delayMs, 3_600_000)
  }
  for (const reason of ['held', 'clock-skew', 'rate-limited', 'silent'] as const) {
    t.equal(decideReconnect({ ...lost, reason, attempt: 30 }).delayMs, 30_000)
  }
  t.equal(reconnectReasonOf({ by: 'loss' }), 'lost')
  t.equal(
    reconnectReasonOf({ by: 'us', reason: 'protocol', code: 'sequence-broken', detail: '' }),
    'sequence-broken'
  )
  t.equal(reconnectReasonOf({ by: 'peer', reason: 'reconnect', detail: '' }), 'reconnect')
  t.end()
})

t.test('every reconnect delay is finite, not negative and within an hour', (t) => {
  fc.assert(
    fc.property(fc.nat(5000), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
      const { delayMs } = decideReconnect({ ...lost, reason: 'revoked', attempt, random })
      return Number.isInteger(delayMs) && delayMs >= 0 && delayMs <= 3_600_000
    })
  )
  t.end()
})

t.test('the first session stays if it gives a sign of life, else the second is admitted', (t) => {
  const { state, effects } = beginDuplicate({ first: 'a', second: 'b', atMs: 0 })
  t.same(effects, [{ kind: 'probe', connection: 'a' }])
  t.same(stepDuplicate(state, { kind: 'life-heard', atMs: 1, connection: 'a' }).effects, [
    { kind: 'refuse', connection: 'b' }
  ])
  t.same(stepDuplicate(state, { kind: 'life-heard', atMs: 1, connection: 'b' }), { state, effects: [] })
  t.same(stepDuplicate(state, { kind: 'time-passed', atMs: 4999 }).effects, [])
  const late = stepDuplicate(state, { kind: 'time-passed', atMs: 5000 })
  t.same(late.effects, [
    { kind: 'replace', connection: 'a' },
    { kind: 'admit', connection: 'b' }
  ])
  t.same(stepDuplicate(late.state, { kind: 'life-heard', atMs: 5001, connection: 'a' }).effects, [])
  t.same(stepDuplicate(state, { kind: 'connection-ended', atMs: 1, connection: 'a' }).effects, [
    { kind: 'admit', connection: 'b' }
  ])
  t.same(stepDuplicate(state, { kind: 'connection-ended', atMs: 1, connection: 'b' }), {
    state: { phase: 'decided', kept: 'a' },
    effects: []
  })
  t.same(stepDuplicate(state, { kind: 'session-established', atMs: 1, connection: 'c' }).effects, [
    { kind: 'refuse', connection: 'c' }
  ])
  t.end()
})

t.test('an address waits after twenty failures until its window is over', (t) => {
  let count: FailureCount | undefined
  for (let failures = 1; failures <= 20; failures++) {
    t.equal(waitMsOf(count, 1000), 0)
    count = countFailure(count, 1000)
  }
  t.equal(waitMsOf(count, 1000), 60_000)
  t.equal(waitMsOf(count, 60_999), 1)
  t.equal(waitMsOf(count, 61_000), 0)
  t.equal(waitMsOf(count, 0), 0)
  t.same(countFailure(count, 61_000), { failures: 1, sinceAtMs: 61_000 })
  t.end()
})

t.test('an IPv6 address counts with its /64, a mapped IPv4 address as itself', (t) => {
  t.equal(rateKeyOf('192.0.2.7'), '192.0.2.7')
  t.equal(rateKeyOf('::ffff:192.0.2.7'), '192.0.2.7')
  t.equal(rateKeyOf('2001:DB8::1'), rateKeyOf('2001:db8:0:0:1::2'))
  t.not(rateKeyOf('2001:db8:0:1::1'), rateKeyOf('2001:db8::1'))
  t.equal(rateKeyOf('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.end()
})
