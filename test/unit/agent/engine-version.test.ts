// An engine that is upgraded under a running agent: Docker ends old versions of its API with a new engine, and the
// agent goes on without being started again.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { InstallationId } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { createClock } from '../../../packages/agent/src/adapters/clock.ts'
import { createDockerClient } from '../../../packages/agent/src/adapters/docker/client.ts'
import { createEngine } from '../../../packages/agent/src/adapters/docker/engine.ts'
import { createContainerWatch } from '../../../packages/agent/src/adapters/docker/watch.ts'
import { idFrom } from '../../support/run-samples.ts'

/** Speaks one version of the API and refuses every other, as Docker does with those below its minimum. */
const startEngine = async (t: Test) => {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-engine-'))
  let version = '1.41'
  const streams = new Set<ServerResponse>()
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = request.url ?? ''
    if (path.startsWith('/version')) return void response.end(JSON.stringify({ ApiVersion: version }))
    if (!path.startsWith(`/v${version}/`)) {
      response.statusCode = 400
      return void response.end(JSON.stringify({ message: 'the version of the client is not supported' }))
    }
    if (!path.includes('/events')) return void response.end('[]')
    response.writeHead(200)
    response.flushHeaders()
    streams.add(response)
  }
  const server = createServer(answer)
  const socket = join(folder, 'docker.sock')
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
    rmSync(folder, { recursive: true })
  })
  return {
    host: `unix://${socket}`,
    upgrade(to: string): void {
      version = to
      for (const stream of streams) stream.destroy()
      streams.clear()
    }
  }
}

t.test('an engine that comes back with another version of its API is spoken to in that', async (t) => {
  const docker = await startEngine(t)
  const client = createDockerClient(docker.host)
  const engine = createEngine(client, { forRepository: async () => undefined })
  const installation = idFrom('ins', 1) as InstallationId
  const watch = createContainerWatch(client, engine, createClock(), {
    installation: () => installation,
    recordOf: () => undefined
  })
  let returns = 0
  watch.onReturn(() => {
    returns += 1
  })
  t.teardown(() => watch.stop())
  let changed = Promise.withResolvers<void>()
  watch.onChange(() => changed.resolve())
  await changed.promise
  t.same(await watch.list(), [])

  changed = Promise.withResolvers()
  docker.upgrade('1.44')
  await changed.promise
  // told once when the stream ended, and once more when the next one was tried
  changed = Promise.withResolvers()
  await changed.promise
  t.same(await watch.list(), [], 'without a run that asks for the version')
  t.equal(returns, 2, 'at the first time and after it was away: facts are measured anew')
})
