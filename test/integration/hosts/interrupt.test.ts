// Whether Ctrl-C leaves nothing on the machine: commands that lay or remove a network run to their end, and what an
// earlier run could not remove is in nobody's way.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { openNetwork } from '../../../scripts/hosts/network.ts'
import { runCommand } from '../../../scripts/hosts/run-command.ts'
import { makeTestFolder, testOnRealParts } from '../../support/real-parts.ts'

const runCommandFile = new URL('../../../scripts/hosts/run-command.ts', import.meta.url).href

t.test('Ctrl-C ends no command that the interrupted one has begun', async (t) => {
  const program = `
    import { collectCommand } from '${runCommandFile}'
    process.on('SIGINT', () => undefined)
    const { exitCode } = await collectCommand('sh', ['-c', 'kill -INT -$PPID; echo done'])
    process.stdout.write(String(exitCode))`
  // In a group of its own, as the foreground one of a terminal is; its leader is the parent of the command.
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const [output] = await Promise.all([text(child.stdout), once(child, 'close')])
  t.equal(output, '0')
})

testOnRealParts(t, 'a namespace that was left behind is replaced', async (t) => {
  const folder = makeTestFolder(t)
  const first = await openNetwork(folder)
  await first.close()
  const link = `lsh${first.address.split('.')[2]}`
  for (const name of ['hub', 'host1']) await runCommand('ip', ['netns', 'add', `${link}-${name}`])
  const second = await openNetwork(folder)
  t.teardown(() => second.close())
  t.equal(second.address, first.address, 'the same network')
  t.match(await second.addHost(), { namespace: `${link}-host1` })
  await second.close()
  t.notOk(readdirSync('/run/netns').some((name) => name.startsWith(`${link}-`)))
})
