// What the process itself owes to its caller: an exit code that says nothing untrue, and a second signal that works.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { CliContext } from '../../packages/controller/src/cli/cli-context.ts'
import { createProgram } from '../../packages/controller/src/cli/program.ts'

const main = fileURLToPath(new URL('../../packages/controller/src/cli/main.ts', import.meta.url))

/** Runs the CLI with one of its outputs on a device that is always full. */
const runOnFullDisk = async (args: string[], output: 'stdout' | 'stderr'): Promise<unknown> => {
  const full = await open('/dev/full', 'w')
  const of = (name: string) => (name === output ? full.fd : 'ignore')
  try {
    const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', of('stdout'), of('stderr')] })
    const [code] = await once(child, 'exit')
    return code
  } finally {
    await full.close()
  }
}

t.test('a result that cannot be written is not known, and nothing was reverted', async (t) => {
  t.equal(await runOnFullDisk(['version'], 'stdout'), 7)
})

t.test('words that cannot be written change no exit code', async (t) => {
  t.equal(await runOnFullDisk(['version', '--nonsense'], 'stderr'), 2)
})

t.test('a controller that is stopping listens to no further signal, so the next one ends it', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'cli-process-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const data = join(dir, 'data')
  const listeners = new Set<(name: string) => void>()
  const listening = Promise.withResolvers<void>()
  const output = (write: (text: string) => void) => ({ write }) as CliContext['stdout']
  const context = {
    env: {},
    stdout: output(() => undefined),
    stderr: output((text) => {
      if (text.startsWith('listening')) listening.resolve()
    }),
    onSignal: (listener: (name: string) => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  } as unknown as CliContext
  const run = (...args: string[]) => createProgram(context).parseAsync(args, { from: 'user' })
  await run('controller', 'init', '--data', data)
  const running = run('controller', 'start', '--data', data, '--listen', '127.0.0.1:0')
  await Promise.race([listening.promise, running])
  t.equal(listeners.size, 1)
  for (const listener of [...listeners]) listener('SIGTERM')
  await running
  t.equal(listeners.size, 0)
})
