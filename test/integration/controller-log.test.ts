// A log that cannot be written stops neither program.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { initController } from '../../scripts/hosts/programs.ts'
import { cliMain } from '../support/cli-process.ts'
import { makeTestFolder } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

t.test('the controller serves and stops although its log is full', async (t) => {
  const dataFolder = join(makeTestFolder(t), 'controller')
  await initController(dataFolder)
  const port = await freePort()
  const args = [cliMain, 'controller', 'start', '--data', dataFolder, '--listen', `127.0.0.1:${port}`]
  const full = openSync('/dev/full', 'w')
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', full] })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  await waitUntil('the controller to be ready', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    return answer?.status === 200
  })
  child.kill('SIGTERM')
  t.same(await ended, [0, null])
})
