// `logs`, `audit` and lists as people type them: what is refused before anybody is asked, and whose clock counts.
import { limits } from '@longshore/protocol'
import t from 'tap'
import { createControllerClock } from '../../../packages/controller/src/cli/controller-clock.ts'
import { nowMs, runCommandOf } from '../../support/cli-unit.ts'

/** The controller's clock is an hour behind that of whoever asks. */
const controllerNowMs = nowMs - 3_600_000
const info = async () => ({ nowMs: controllerNowMs })

t.test('since is so long ago by the clock of the controller, whatever the own one says', async (t) => {
  const asked: { sinceMs?: number }[] = []
  const audit = async (query: { sinceMs?: number }) => {
    asked.push(query)
    return []
  }
  const logs = async function* (query: { sinceMs?: number }) {
    asked.push(query)
    yield { type: 'end', at: '' }
  }
  await runCommandOf({ info, audit }, ['audit', '--since', '5m'])
  await runCommandOf({ info, logs }, ['logs', 'web', '--env', 'staging', '--since', '5m'], {
    onSignal: () => () => undefined
  })
  t.same(
    asked.map(({ sinceMs }) => sinceMs),
    [controllerNowMs - 300_000, controllerNowMs - 300_000]
  )
  await runCommandOf({ audit }, ['audit'])
  t.equal(asked.at(-1)?.sinceMs, undefined, 'nobody is asked for the time in vain')
})

t.test('what can name no line and no host is refused, instead of being left out', async (t) => {
  const refused = (...args: string[]) =>
    t.rejects(runCommandOf({}, ['logs', 'web', '--env', 'staging', ...args]), {
      code: 'commander.invalidArgument',
      message: new RegExp(`${args[0]} `)
    })
  await refused('--host', '')
  await refused('--host', ' , ')
  await refused('--grep', '')
  await refused('--grep', 'x'.repeat(limits.maxLogGrepChars + 1))
  await refused('--grep', 'one\ntwo')
  await refused('--tail', String(limits.maxLogTailLines + 1))
  await refused('--since', '99999999999d')
  const asked: object[] = []
  const logs = async function* (query: object) {
    asked.push(query)
    yield { type: 'end', at: '' }
  }
  const most = { tail: limits.maxLogTailLines, grep: 'x'.repeat(limits.maxLogGrepChars) }
  const words = ['--host', 'a', '--host', 'b,c', '--tail', String(most.tail), '--grep', most.grep]
  await runCommandOf({ logs }, ['logs', 'web', '--env', 'staging', ...words], {
    onSignal: () => () => undefined
  })
  t.match(asked, [{ ...most, host: 'a,b,c' }])
})

t.test("ages and ends in lists are by the controller's clock", async (t) => {
  const token = { id: 'tok_1', name: 'ci', allow: [], createdAtMs: 0, revokedAtMs: null }
  const apiTokens = async () => [
    { ...token, lastUsedAtMs: controllerNowMs - 5000, expiresAtMs: controllerNowMs + 60_000 }
  ]
  const { out } = await runCommandOf({ apiTokens }, ['api-token', 'list'], {
    controllerNowMs: () => controllerNowMs
  })
  t.match(out, /ci +active .* 5s ago/)
})

t.test("the controller's clock is the own one, unless its answers say that it is not", async (t) => {
  let ownMs = nowMs
  const clock = createControllerClock(() => ownMs)
  const answered = (aheadMs: number) => clock.heard(new Date(ownMs + aheadMs).toUTCString())
  t.equal(clock.nowMs(), ownMs)
  for (const aheadMs of [0, -1900, 900]) answered(aheadMs)
  clock.heard(undefined)
  clock.heard('nonsense')
  t.equal(clock.nowMs(), ownMs)
  answered(-3_600_000)
  t.ok(Math.abs(clock.nowMs() - (ownMs - 3_600_000)) <= 1000)
  ownMs -= 3_600_000
  answered(0)
  t.ok(Math.abs(clock.nowMs() - ownMs) <= 1000, 'after the own one was set')
})
