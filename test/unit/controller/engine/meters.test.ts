// What the controller counts of itself: into the right buckets, under labels that cannot grow without bound.
import t from 'tap'
import { measureCommits } from '../../../../packages/controller/src/engine/measure-commits.ts'
import { createMeters, type Meters } from '../../../../packages/controller/src/engine/meters.ts'
import { createRunningDeployments } from '../../../../packages/controller/src/engine/running-deployments.ts'
import type { DeploymentRow, Store } from '../../../../packages/controller/src/ports.ts'
import { HandClock } from './engine-scene.ts'

const seriesOf = (meters: Meters, name: string) =>
  meters.read().tallies.find((one) => one.name === `longshore_${name}`)?.series ?? []

t.test('observations fall into the bucket whose bound they do not exceed', async (t) => {
  const meters = createMeters()
  for (const ms of [-5, 0.5, 0.51, 9000]) meters.loopLagged(ms)
  t.match(seriesOf(meters, 'event_loop_lag_seconds'), [
    { counts: [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], sum: 9.00101 }
  ])
})

t.test('steps of other versions and undone ones share a label each', async (t) => {
  const meters = createMeters()
  const done = { startedMs: 0, endedMs: 5, outcome: 'done' } as const
  const steps = ['fetch-image', 'undo create-container', 'undo x', 'brew-coffee', 'constructor']
  meters.stepsTook(steps.map((step) => ({ ...done, step })))
  t.same(
    seriesOf(meters, 'step_duration_seconds').map(({ labels }) => labels['step']),
    ['fetch-image', 'undo', 'other']
  )
})

t.test('environments beyond the limit are counted together', async (t) => {
  const meters = createMeters()
  const of = { mode: 'deploy', outcome: 'succeeded', ms: 1 }
  for (let number = 0; number < 210; number += 1)
    meters.deploymentEnded({ ...of, environment: `pr-${number}` })
  meters.deploymentEnded({ ...of, environment: 'pr-0' })
  const series = seriesOf(meters, 'deployments_total')
  t.equal(series.length, 201)
  t.match(series[0], { labels: { environment: 'pr-0' }, value: 2 })
  t.match(series.at(-1), { labels: { environment: 'other' }, value: 10 })
})

t.test('ends of sessions say by whom and why', async (t) => {
  const meters = createMeters()
  meters.sessionEnded({ by: 'loss' })
  meters.sessionEnded({ by: 'us', reason: 'protocol', code: 'frame-malformed', detail: '' })
  meters.sessionEnded({ by: 'us', reason: 'reconnect', code: null, detail: '' })
  t.same(
    seriesOf(meters, 'sessions_ended_total').map(({ labels }) => labels),
    [
      { by: 'loss', code: 'none' },
      { by: 'us', code: 'frame-malformed' },
      { by: 'us', code: 'reconnect' }
    ]
  )
})

t.test('of a transaction the commit is measured apart, of one that was refused nothing', async (t) => {
  const [meters, steadyClock] = [createMeters(), new HandClock()]
  const transaction = async (work: (tx: never) => Promise<unknown>) => {
    steadyClock.move(1000) // its turn is waited for
    const result = await work(undefined as never)
    steadyClock.move(20)
    return result
  }
  const store = measureCommits({ transaction } as unknown as Store, { steadyClock, meters })
  t.equal(await store.transaction(async () => steadyClock.move(300) ?? 'done'), 'done')
  await t.rejects(
    store.transaction(async () => {
      throw new Error('refused')
    }),
    /refused/
  )
  t.match(seriesOf(meters, 'store_transaction_seconds'), [{ sum: 0.32 }])
  t.match(seriesOf(meters, 'store_commit_seconds'), [{ sum: 0.02 }])
})

t.test('a deployment is still until something happens in it, and gone when it has ended', async (t) => {
  const steadyClock = new HandClock()
  const running = createRunningDeployments(steadyClock)
  const row = {
    id: 'a',
    environment: 'staging',
    phase: 'staging',
    requestedAtMs: 1
  } as unknown as DeploymentRow
  running.moved(row)
  steadyClock.move(400)
  t.match(running.list(), [{ environment: 'staging', stillMs: 400 }])
  running.progressed('a')
  running.progressed('unknown')
  t.match(running.list(), [{ stillMs: 0, requestedAtMs: 1 }])
  running.moved({ ...row, phase: 'ended' })
  t.same(running.list(), [])
})
