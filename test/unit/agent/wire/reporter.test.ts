// Which reports and which progress leave the host, and when.
import { generateSigningKey, limits, type ProgressMessage, type QueuedUp } from '@longshore/protocol'
import t from 'tap'
import { createReporter } from '../../../../packages/agent/src/reporter.ts'
import { newCommandId, sampleReport, silent } from '../../../support/wire-agent.ts'

/** Timers go off when the test says so. */
const startReporter = async (stored: ReturnType<typeof sampleReport>[] = []) => {
  const timers: { delayMs: number; wake: () => void }[] = []
  const clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    after: (delayMs: number, wake: () => void) => {
      const timer = { delayMs, wake }
      timers.push(timer)
      return () => void timers.splice(timers.indexOf(timer), timers.includes(timer) ? 1 : 0)
    }
  }
  const { key } = await generateSigningKey()
  const runs = { unacknowledged: () => stored, acknowledged: async () => {} }
  const reporter = createReporter({ clock, log: silent, key, runs: () => runs })
  const sent: QueuedUp[] = []
  const told = Promise.withResolvers<void>()
  const outlet = {
    bufferedBytes: 0,
    queue: (messages: readonly QueuedUp[]) => {
      sent.push(...messages)
      told.resolve()
    }
  }
  const fire = () => {
    for (const { delayMs, wake } of timers.splice(0)) if (delayMs < limits.reportResendMs) wake()
  }
  return { reporter, outlet, sent, fire, somethingSent: told.promise }
}

const progress = (command: ProgressMessage['command'], position: number): ProgressMessage => ({
  type: 'progress',
  command,
  step: 'monitor',
  position,
  total: 9
})

t.test('of many words on one run only the latest leaves, at the pace of the protocol', async (t) => {
  const { reporter, outlet, sent, fire } = await startReporter()
  reporter.attach(outlet)
  const [a, b] = [newCommandId(), newCommandId()]
  for (const position of [1, 2, 3]) reporter.progressed(progress(a, position))
  reporter.progressed(progress(b, 1))
  t.same(sent, [], 'not before its time')
  fire()
  t.same(sent, [progress(a, 3), progress(b, 1)])
})

t.test('output is gathered until it leaves, and the oldest lines give way', async (t) => {
  const { reporter, outlet, sent, fire } = await startReporter()
  reporter.attach(outlet)
  const command = newCommandId()
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, at) => `line ${from + at}`)
  reporter.progressed({ ...progress(command, 3), lines: lines(0, 2) })
  reporter.progressed({ ...progress(command, 3), lines: lines(2, 4) })
  reporter.progressed(progress(command, 4))
  fire()
  t.same(sent.splice(0), [{ ...progress(command, 4), lines: lines(0, 4) }])
  reporter.progressed({ ...progress(command, 4), lines: lines(0, 40) })
  reporter.progressed({ ...progress(command, 4), lines: lines(40, 60) })
  fire()
  t.same(sent.splice(0), [{ ...progress(command, 4), lines: lines(10, 60) }])
  reporter.progressed(progress(command, 5))
  fire()
  t.same(sent, [progress(command, 5)], 'nothing is told twice')
})

t.test('progress is dropped when the controller reads too slowly, or is away', async (t) => {
  const { reporter, outlet, sent, fire } = await startReporter()
  const command = newCommandId()
  reporter.progressed(progress(command, 1))
  reporter.attach(outlet)
  fire()
  t.same(sent, [], 'what came without a session is old')
  outlet.bufferedBytes = limits.maxBufferedBytes
  reporter.progressed(progress(command, 2))
  fire()
  outlet.bufferedBytes = 0
  fire()
  t.same(sent, [], 'what found no room is not kept')
  reporter.progressed(progress(command, 3))
  reporter.detach()
  reporter.attach(outlet)
  fire()
  t.same(sent, [], 'what was under way ends with its session')
})

t.test(
  'a stored report is sent even when it counts as acknowledged, because somebody asked again',
  async (t) => {
    const { reporter, outlet, sent, fire, somethingSent } = await startReporter()
    reporter.attach(outlet)
    const report = sampleReport(3)
    reporter.progressed(progress(report.command, 1))
    reporter.reported(report)
    await somethingSent
    fire()
    t.match(sent, [{ type: 'report' }], 'and no progress after it')
    t.equal(sent.length, 1)
  }
)
