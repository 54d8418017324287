// One minor version apart: what today's controller sends to an agent of the previous version is what that one knew. What
// the previous version sent is among the vectors.
import { readFileSync } from 'node:fs'
import { agentCapabilities, byeReasons, capabilitiesFor, type ServiceSpec } from '@longshore/protocol'
import t from 'tap'
import * as z from 'zod'
import manifest from '../../../packages/controller/package.json' with { type: 'json' }
import { commandBody } from '../../../packages/controller/src/core/delivery/command-body.ts'
import { refusalFor } from '../../../packages/controller/src/core/delivery/refusal-for.ts'
import type { Order } from '../../../packages/controller/src/core/deployment/events.ts'
import { judgeSkew } from '../../../packages/controller/src/core/fleet/judge-skew.ts'
import { controllerVersion } from '../../../packages/controller/src/main.ts'
import { idFrom, sampleDigest, sampleSpec } from '../../support/run-samples.ts'
import { welcome } from '../../vectors/samples.ts'

const kept = z
  .object({
    version: z.string(),
    capabilities: z.array(z.string()),
    command: z.record(z.string(), z.unknown()),
    downMessage: z.record(z.string(), z.unknown())
  })
  .parse(JSON.parse(readFileSync(new URL('../../vectors/previous/spoken.json', import.meta.url), 'utf8')))
const formerCommand = z.fromJSONSchema(kept.command)
const formerDown = z.fromJSONSchema(kept.downMessage)

/** A service that uses what a spec can hold of the controller's own business as well. */
const spec: ServiceSpec = {
  ...sampleSpec(),
  releaseCommand: { command: ['migrate'], timeoutMs: 1000 },
  sources: [{ kind: 'artifact' }, { kind: 'registry' }]
}
const given = {
  release: 2,
  repository: 'registry.test/web',
  tag: 'v2',
  digest: sampleDigest as never,
  spec,
  replace: null,
  sources: [{ kind: 'mirror' as const, at: 'mirror.test' }, { kind: 'registry' as const }],
  artifact: null,
  capabilities: kept.capabilities
}
const orders = {
  resolve: { kind: 'resolve' },
  stage: { kind: 'stage' },
  release: { kind: 'release', recreate: true, canaryMaxErrorRatio: 0.5 },
  revert: { kind: 'revert', from: 2, to: 1 },
  remove: { kind: 'remove', release: null, containers: ['0123456789ab'] },
  plan: { kind: 'plan', recreate: false },
  rehearse: { kind: 'rehearse' },
  'run-once': { kind: 'run-once', command: ['migrate'], timeoutMs: 1000 },
  settle: { kind: 'settle', release: 2, keepImages: 3 },
  upgrade: { kind: 'upgrade' }
} satisfies { [K in Order['kind']]: Order & { kind: K } }
const commandWith = (body: object) => ({
  id: idFrom('cmd', 1),
  installation: idFrom('ins', 1),
  agent: idFrom('agt', 1),
  environment: 'staging',
  service: 'web',
  deployment: idFrom('dep', 1),
  fence: { generation: 1, epoch: 1, index: 1 },
  notAfterMs: 1,
  timeLimitMs: 1,
  body
})

t.test(
  'every command for an agent of the previous version is one that it knew, or is not sent',
  async (t) => {
    for (const order of Object.values(orders)) {
      const body = commandBody(order, given)
      const sent = {
        command: idFrom('cmd', 1) as never,
        needs: capabilitiesFor(body),
        state: 'owed' as const
      }
      if (refusalFor(sent, kept.capabilities) !== null) {
        t.notOk(kept.capabilities.includes(order.kind), `${order.kind} is withheld because it is new`)
        continue
      }
      const read = formerCommand.safeParse(commandWith(body))
      t.ok(read.success, `${order.kind}: ${read.success ? '' : z.prettifyError(read.error)}`)
    }
    const strange = commandWith({ ...commandBody(orders.settle, given), mood: 'good' })
    t.notOk(formerCommand.safeParse(strange).success, 'which refuses a key that it does not know')
  }
)

t.test('every other message to it is one that it knew', async (t) => {
  const messages: object[] = [
    welcome,
    { type: 'command', jws: 'a.b.c', credentials: [{ registry: 'r.test', jwe: null, problem: 'none' }] },
    { type: 'cancel', command: idFrom('cmd', 1) },
    { type: 'ack', reportsUpTo: 1 },
    { type: 'keys', chain: ['a.b.c'] },
    ...byeReasons.map((reason) => ({ type: 'bye', reason, detail: '' }))
  ]
  for (const message of messages) t.ok(formerDown.safeParse(message).success, JSON.stringify(message))
  t.notOk(formerDown.safeParse({ type: 'later' }).success)
})

t.test('an agent of today can do all that one of the previous version could', async (t) => {
  for (const one of kept.capabilities) t.ok(agentCapabilities.includes(one as never), one)
})

t.test('says how far a version is from the controller', async (t) => {
  t.equal(controllerVersion, manifest.version)
  const skews = ['1.4.9', '1.3.0', '1.5.1', '1.2.0', '1.6.0', '2.4.0', 'later'].map((one) =>
    judgeSkew(one, '1.4.0')
  )
  t.same(skews, ['none', 'older', 'newer', 'unsupported', 'unsupported', 'unsupported', 'unsupported'])
  t.not(judgeSkew(kept.version), 'unsupported', 'the version whose vectors are kept')
})
