// What people see of plans, of several services, of a deployment that is paused, and of a release command.
import t from 'tap'
import type {
  DeploymentEvent,
  ServicePart,
  TargetView
} from '../../../packages/controller/src/api/schemas.ts'
import { foldEvent, type Picture } from '../../../packages/controller/src/cli/fold-event.ts'
import { renderDeployments } from '../../../packages/controller/src/cli/render-lists.ts'
import { renderFrame } from '../../../packages/controller/src/cli/render-live.ts'
import { emptyPlain, renderPlain } from '../../../packages/controller/src/cli/render-plain.ts'
import { renderPlan } from '../../../packages/controller/src/cli/render-plan.ts'
import { renderResult } from '../../../packages/controller/src/cli/render-result.ts'
import { createColors } from '../../../packages/controller/src/cli/state-colors.ts'
import { at, deployment, endedAs, deploymentNumber as id, target } from '../../support/controller-stand-in.ts'

const plain = createColors(false)
const [first] = deployment().services
if (first === undefined) throw new Error('the sample has no service')
const web: ServicePart = first
const api: ServicePart = { ...web, service: 'api' as ServicePart['service'], release: 4, tag: '2.0' }
const several = [web, api]
const ofApi = (host: string, fields: Partial<TargetView> = {}): TargetView =>
  target(host, { ...fields, service: api.service })

const frameOptions = { nowMs: 0, tick: 0, colors: plain, isUnicode: false, notice: null }

const linesOf = (events: DeploymentEvent[]): string[] => {
  let state = emptyPlain
  return events.flatMap((event) => {
    const rendered = renderPlain(state, event, 0)
    state = rendered.state
    return rendered.lines
  })
}

t.test('a plan says images, batches, steps, changes in full, and what would be refused', async (t) => {
  const digest = `sha256:${'a'.repeat(64)}` as NonNullable<ServicePart['digest']>
  const rollout: NonNullable<ServicePart['rollout']> = {
    canary: { unit: 'count', value: 1 },
    parallelism: { unit: 'count', value: 2 },
    delayMs: 30_000,
    maxFailureRatio: 0,
    failureAction: 'rollback'
  }
  const part = { ...web, digest, rollout }
  const changes = [{ path: 'environment.PASSWORD', before: 'old', after: 'new' }]
  const serves = { release: 7, image: 'registry.example/web:1.2.2' } as const
  const nothing = { isRunning: false, serves: null, steps: [], refusals: [], changes: [] }
  const view = {
    ...endedAs('refused', [
      target('a', {
        batch: 1,
        plan: { ...nothing, serves, steps: ['stop-container', 'start-container'], changes } as NonNullable<
          TargetView['plan']
        >
      }),
      target('b', {
        batch: 2,
        plan: { ...nothing, refusals: [{ code: 'port-taken', detail: 'port 80\u0007 is taken' }] }
      }),
      target('c', { batch: 2, plan: { ...nothing, isRunning: true } }),
      target('d', { state: 'skipped', reason: 'not connected' })
    ]),
    mode: 'plan' as const,
    services: [part],
    refusals: [{ code: 'locked', detail: 'it is busy' }]
  }
  t.equal(
    renderPlan(view, plain),
    `web in staging: would be refused
it was refused
  ! locked: it is busy

web: release 8, now 7, spec revision 3
  image    registry.example/web:1.2.3@${digest}
  canary   a
  batch 2  b, c, after 30s

a: release 7 (registry.example/web:1.2.2) -> release 8
  steps    stop-container, start-container
  ~ environment.PASSWORD: "old" -> "new"

b: nothing -> release 8
  ! port-taken: port 80  is taken

c: nothing -> release 8, which runs already: nothing is restarted

d: skipped: not connected
`
  )
})

t.test('several services are named wherever a host is', async (t) => {
  const targets = [target('a'), ofApi('a')]
  const begun = deployment({ services: several, targets })
  const progress = { step: 'pull', position: 1, total: 2 }
  t.same(
    linesOf([
      { type: 'deployment', at, deployment: begun },
      {
        type: 'progress',
        at,
        id,
        service: api.service,
        host: targets[0]?.host ?? (begun.targets[0]?.host as never),
        progress
      },
      { type: 'phase', at, id, phase: 'rolling', batch: 3, service: api.service },
      { type: 'target', at, id, target: ofApi('a', { state: 'released' }) }
    ]),
    [
      `web, api in staging: web 1.2.3 as release 8, api 2.0 as release 4, deployment ${id}`,
      'requested',
      'api on a: step 1 of 2, pull',
      'rolling api, batch 3',
      'api on a: released'
    ]
  )
  const ended = {
    ...endedAs('succeeded', [
      target('a', { servingRelease: web.release, serving: 'new' }),
      ofApi('a', { log: ['x'] })
    ]),
    services: several
  }
  t.equal(
    renderResult({ ...ended, reason: null }, plain),
    `succeeded: web, api in staging, deployment ${id}, 42s
  web: release 8 (1.2.3)
  api: release 4 (2.0)

SERVICE  HOST  STATE    SERVING  REASON
web      a     pending  8 (new)
api      a     pending  old

last lines of api on a:
  | x
`
  )
  t.match(
    renderDeployments([{ ...ended, mode: 'rehearse' }], plain),
    /rehearse +staging +web, api +8, 4 +1\.2\.3, 2\.0/
  )
})

t.test(
  'it is said once that the controller fetches an image, and of which of several services',
  async (t) => {
    const begun = deployment({ phase: 'requested' })
    const fetching = { cache: 'fetching' } as const
    const shown = { ...begun, services: [{ ...web, ...fetching }] }
    const lines = linesOf([
      { type: 'deployment', at, deployment: { ...begun, services: [{ ...web, cache: 'wanted' }] } },
      { type: 'deployment', at, deployment: shown },
      { type: 'warning', at, id, text: 'it is slow' },
      { type: 'phase', at, id, phase: 'staging', batch: null }
    ])
    t.same(lines.slice(1), [
      'requested',
      'requested, the controller fetches the image',
      'warning: it is slow',
      'staging'
    ])
    const both = { ...begun, services: [web, { ...api, ...fetching }] }
    t.match(linesOf([{ type: 'deployment', at, deployment: both }]).at(-1), /fetches the image of api$/)
  }
)

t.test('a paused deployment says why, what to type and until when it holds, once', async (t) => {
  const pause = { reason: 'host b failed', untilMs: Date.parse(at) + 3_600_000 }
  const begun = deployment({ phase: 'rolling', targets: [target('b', { batch: 1 })] })
  const paused = { ...begun, phase: 'paused' as const, pause }
  const lines = linesOf([
    { type: 'deployment', at, deployment: begun },
    { type: 'phase', at, id, phase: 'paused', batch: null },
    { type: 'deployment', at, deployment: paused },
    { type: 'deployment', at, deployment: paused }
  ])
  const told = [
    'it holds: host b failed',
    `go on: longshore resume ${id}`,
    `go back: longshore cancel ${id}`,
    'by itself it goes back at 2026-01-02T04:04:05Z'
  ]
  t.same(lines.slice(2), ['paused', ...told])
  const picture = foldEvent(null, { type: 'deployment', at, deployment: paused }) as Picture
  const frame = renderFrame(picture, { ...frameOptions, columns: 80, rows: 9 })
  t.match(frame[0], /paused/)
  t.same(frame.slice(1), ['  b     . pending   ', ...told])
  const resumed = foldEvent(picture, { type: 'phase', at, id, phase: 'rolling', batch: 2 })
  t.equal(resumed?.deployment.pause, undefined)
})

t.test('a release command shows its output, and what it said when it failed', async (t) => {
  const host = target('a').host
  const releaseCommand = { state: 'running' as const, host, exitCode: null, log: [] }
  const begun = deployment({
    phase: 'preparing',
    services: [{ ...web, releaseCommand }],
    targets: [target('a')]
  })
  const snapshot: DeploymentEvent = { type: 'deployment', at, deployment: begun }
  const log: DeploymentEvent = {
    type: 'log',
    at,
    id,
    service: web.service,
    host,
    lines: ['migrating', 'half\u001b[2J done']
  }
  t.same(linesOf([snapshot, log]).slice(1), [
    'preparing, release command on a',
    'a | migrating',
    'a | half [2J done'
  ])
  const picture = foldEvent(foldEvent(null, snapshot), log) as Picture
  const frame = renderFrame(picture, { ...frameOptions, columns: 80, rows: 9 })
  t.equal(frame.at(-1), '  | half [2J done')
  const failed = { ...releaseCommand, state: 'failed' as const, exitCode: 3, log: ['no table'] }
  const ended = { ...endedAs('refused'), services: [{ ...web, releaseCommand: failed }] }
  t.match(renderResult(ended, plain), '\nrelease command of web on a, failed, exit code 3:\n  | no table\n')
})

t.test('the first batch of a service with a canary is called so, whatever its number', async (t) => {
  const rollout: NonNullable<ServicePart['rollout']> = {
    canary: { unit: 'count', value: 1 },
    parallelism: { unit: 'count', value: 1 },
    delayMs: 0,
    maxFailureRatio: 0,
    failureAction: 'rollback'
  }
  const services = [web, { ...api, rollout }]
  const targets = [target('a', { batch: 1 }), ofApi('a', { batch: 2 }), ofApi('b', { batch: 3 })]
  const begin: DeploymentEvent = {
    type: 'deployment',
    at,
    deployment: deployment({ phase: 'rolling', batch: 1, services, targets })
  }
  const lines = linesOf([
    begin,
    { type: 'phase', at, id, phase: 'rolling', batch: 2, service: api.service },
    { type: 'target', at, id, target: ofApi('a', { batch: 2, state: 'releasing' }) },
    { type: 'phase', at, id, phase: 'rolling', batch: 3, service: api.service }
  ])
  t.same(lines.slice(1), [
    'rolling web, batch 1',
    'rolling api, canary',
    'api on a: releasing',
    'rolling api, batch 3'
  ])
})

const moved = { switchMs: 4.4, gapMs: 811.9, drainMs: 1930, closed: { requests: 0, upgraded: 2 } }

t.test('what is drained is told while it lasts, and how traffic moved at the end', async (t) => {
  const begun = deployment({ phase: 'rolling', targets: [target('a', { state: 'releasing' })] })
  const connections = { requests: 3, upgraded: 12 }
  const progress = { step: 'drain-containers', position: 7, total: 9, connections }
  const host = begun.targets[0]?.host as never
  const snapshot: DeploymentEvent = { type: 'deployment', at, deployment: begun }
  const draining: DeploymentEvent = { type: 'progress', at, id, host, progress }
  const released: DeploymentEvent = {
    type: 'target',
    at,
    id,
    target: target('a', { state: 'released', serving: 'new', traffic: moved })
  }
  const last = { ...progress, position: 8, step: 'close', connections: { requests: 1, upgraded: 0 } }
  t.same(linesOf([snapshot, draining, { ...draining, progress: last }, released]).slice(2), [
    'a: releasing',
    'a: step 7 of 9, drain-containers, draining: 3 requests, 12 upgraded',
    'a: step 8 of 9, close, draining: 1 request, 0 upgraded',
    'a: released: switched in 4 ms, gap 812 ms, drained in 1.9s, 2 connections closed'
  ])
  const picture = foldEvent(foldEvent(null, snapshot), draining) as Picture
  const frame = (shown: Picture): string | undefined =>
    renderFrame(shown, { ...frameOptions, columns: 120, rows: 9 })[1]
  t.match(frame(picture), '7/9 drain-containers  draining: 3 requests, 12 upgraded')
  t.match(frame(foldEvent(picture, released) as Picture), 'switched in 4 ms, gap 812 ms')
  const quiet = { switchMs: 1, gapMs: null, drainMs: null, closed: { requests: 0, upgraded: 0 } }
  t.equal(
    renderResult(
      endedAs('succeeded', [
        target('a', { state: 'released', serving: 'new', traffic: moved }),
        target('b', { state: 'released', serving: 'new', traffic: quiet }),
        target('c', { state: 'released', serving: 'new' })
      ]),
      plain
    )
      .split('\n')
      .slice(3)
      .join('\n'),
    `HOST  STATE     SERVING  TRAFFIC                                                              REASON
a     released  new      switched in 4 ms, gap 812 ms, drained in 1.9s, 2 connections closed
b     released  new      switched in 1 ms
c     released  new
`
  )
})

t.test('a plan says what to know beforehand', async (t) => {
  const nothing = { isRunning: false, serves: null, steps: [], refusals: [], changes: [] }
  const notices = ['port 80 is taken over:\u001b about 2 s without service']
  const view = {
    ...endedAs('succeeded', [target('a', { plan: { ...nothing, notices } })]),
    mode: 'plan' as const
  }
  t.match(renderPlan(view, plain), '\n  note     port 80 is taken over:  about 2 s without service\n')
})
