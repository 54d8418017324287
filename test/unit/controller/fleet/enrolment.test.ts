// Each sentence about enrolment, as a decision.
import t from 'tap'
import {
  decideEnrolment,
  type EnrolmentFacts,
  mergeLabels
} from '../../../../packages/controller/src/core/fleet/enrolment.ts'
import type { AgentRow, JoinTokenRow } from '../../../../packages/controller/src/ports.ts'

const token = (change: Partial<JoinTokenRow> = {}): JoinTokenRow =>
  ({
    id: 'tok_00000000000000000001',
    environment: 'staging',
    labels: {},
    replace: false,
    usesMax: null,
    usesCount: 0,
    createdAtMs: 0,
    expiresAtMs: 1000,
    revokedAtMs: null,
    ...change
  }) as JoinTokenRow
const agent = (change: Partial<AgentRow> = {}): AgentRow =>
  ({ id: 'agt_00000000000000000001', hostName: 'web1', state: 'active', ...change }) as AgentRow
const decide = (change: Partial<EnrolmentFacts> = {}) =>
  decideEnrolment({
    nowMs: 500,
    token: token(),
    hasEnvironment: true,
    sameKey: undefined,
    sameName: undefined,
    ...change
  })

t.test('a token that is good gives a new agent', async (t) => {
  t.same(decide(), { kind: 'new' })
  t.same(decide({ token: token({ usesMax: 2, usesCount: 1 }) }), { kind: 'new' })
})

t.test('a token that is not good is refused by the reason', async (t) => {
  const cases: [string, Partial<EnrolmentFacts>][] = [
    ['expired', { nowMs: 1000 }],
    ['used-up', { token: token({ usesMax: 1, usesCount: 1 }) }],
    ['revoked', { token: token({ revokedAtMs: 1 }) }],
    ['revoked', { hasEnvironment: false }],
    ['unknown-token', { token: undefined }]
  ]
  for (const [code, change] of cases) t.match(decide(change), { kind: 'refused', code }, code)
})

t.test('the same key gives the same agent, whatever became of the token', async (t) => {
  const sameKey = agent()
  for (const change of [
    {},
    { nowMs: 9999 },
    { token: token({ usesMax: 1, usesCount: 1 }) },
    { token: undefined }
  ]) {
    t.same(decide({ ...change, sameKey }), { kind: 'again', agent: sameKey })
  }
})

t.test('a held key stays held and a revoked key is never let in again', async (t) => {
  t.match(decide({ sameKey: agent({ state: 'held' }) }), { kind: 'again' })
  t.match(decide({ sameKey: agent({ state: 'revoked' }) }), { kind: 'refused', code: 'revoked' })
})

t.test('a taken host name holds the newcomer, or the token replaces the former agent', async (t) => {
  const sameName = agent()
  t.same(decide({ sameName }), { kind: 'held', by: sameName })
  t.same(decide({ sameName, token: token({ replace: true }) }), { kind: 'replace', former: sameName })
})

t.test('labels of the token win over those of the host', async (t) => {
  t.same(mergeLabels({ zone: 'a', disk: 'ssd' }, { zone: 'b' }), { zone: 'b', disk: 'ssd' })
})
