// `logs` and `audit` as people type them: what is refused before anybody is asked, and whose clock `--since` counts by.
import { limits } from '@longshore/protocol'
import t from 'tap'
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
