// Whether both Dockerfiles build, and what they build runs: the controller's image as controller and as CLI, the
// agent's image as an agent that registers; both end in order on SIGTERM.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdirSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { type BuildEngine, startBuildEngine } from '../support/build-engine.ts'
import { runCli } from '../support/processes.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { importStandIn } from '../support/stand-in-image.ts'
import { waitUntil } from '../support/wait.ts'

const checkout = resolve(import.meta.dirname, '../..')
/** The user that Dockerfile.controller names. */
const controllerUser = 1000

/** Builds from the files that git knows, as they are in the work tree. */
const buildImage = async ({ client }: BuildEngine, dockerfile: string, tag: string): Promise<void> => {
  const context = spawn(
    'sh',
    ['-c', 'git ls-files -z --cached --deduplicate | tar --create --null --files-from=-'],
    {
      cwd: checkout,
      stdio: ['ignore', 'pipe', 'inherit']
    }
  )
  const query = new URLSearchParams({
    dockerfile,
    t: tag,
    networkmode: 'host',
    buildargs: JSON.stringify({ NODE_IMAGE: 'stand-in' })
  })
  const output = await client.postRaw(`/build?${query}`, context.stdout, 'application/x-tar')
  if (output.includes('"errorDetail"'))
    throw new Error(`docker build of ${dockerfile}: ${output.slice(-4000)}`)
}

type Run = { image: string; name: string; args?: string[]; env?: Record<string, string>; binds?: string[] }

const start = async ({ client }: BuildEngine, run: Run): Promise<void> => {
  await client.post(`/containers/create?name=${run.name}`, {
    Image: run.image,
    ...(run.args === undefined ? {} : { Cmd: run.args }),
    Env: Object.entries(run.env ?? {}).map(([name, value]) => `${name}=${value}`),
    Tty: true,
    HostConfig: { NetworkMode: 'host', Binds: run.binds ?? [] }
  })
  await client.post(`/containers/${run.name}/start`)
}

/** Runs a container to its end; with a terminal its log is plain text. */
const runToEnd = async (engine: BuildEngine, run: Run): Promise<{ exitCode: number; output: string }> => {
  await start(engine, run)
  const { StatusCode } = await engine.client.post<{ StatusCode: number }>(`/containers/${run.name}/wait`)
  return { exitCode: StatusCode, output: await logOf(engine, run.name) }
}
const logOf = ({ client }: BuildEngine, name: string): Promise<string> =>
  client.getText(`/containers/${name}/logs?stdout=true&stderr=true`)

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** SIGTERM as `docker stop` sends it; 137 would be the SIGKILL that follows after ten seconds. */
const expectOrderlyStop = async (t: Test, { client }: BuildEngine, name: string): Promise<void> => {
  await client.post(`/containers/${name}/stop?t=10`)
  const { State } = await client.get<{ State: { ExitCode: number } }>(`/containers/${name}/json`)
  t.equal(State.ExitCode, 0, `${name} ends by itself on SIGTERM`)
}

testOnRealParts(
  t,
  'both Dockerfiles build images that run the controller, the CLI and the agent',
  async (t) => {
    const engine = await startBuildEngine(t)
    const folder = makeTestFolder(t)
    await importStandIn(engine.client, join(folder, 'stand-in'), 'stand-in')
    await buildImage(engine, 'Dockerfile.controller', 'controller')
    await buildImage(engine, 'Dockerfile.agent', 'agent')

    const version = await runToEnd(engine, { image: 'controller', name: 'version', args: ['version'] })
    t.match(version, { exitCode: 0, output: /\d+\.\d+\.\d+/ })

    const data = join(folder, 'controller')
    mkdirSync(data)
    chownSync(data, controllerUser, controllerUser)
    const binds = [`${data}:/var/lib/longshore`]
    const dataArgs = ['--data', '/var/lib/longshore/data']
    const init = await runToEnd(engine, {
      image: 'controller',
      name: 'init',
      args: ['controller', 'init', ...dataArgs],
      binds
    })
    t.equal(init.exitCode, 0, 'the data directory is made')
    const token = init.output.trim().split(/\s+/).at(-1) ?? ''

    const url = `http://127.0.0.1:${await freePort()}`
    const args = ['controller', 'start', ...dataArgs, '--listen', url.replace('http://', '')]
    await start(engine, { image: 'controller', name: 'controller', args, binds })
    await waitUntil('the controller in its container', async () => (await fetch(`${url}/readyz`)).ok)
    const cli = async (...args: string[]): Promise<string> => {
      const { exitCode, stdout, stderr } = await runCli(args, { LONGSHORE_URL: url, LONGSHORE_TOKEN: token })
      t.equal(exitCode, 0, `longshore ${args.join(' ')} ${stderr}`)
      return stdout.trim()
    }
    await cli('environments', 'create', 'test')
    const joinToken = await cli('join-token', 'create', '--env', 'test')

    await start(engine, {
      image: 'agent',
      name: 'agent',
      binds: [`${engine.socketPath}:/var/run/docker.sock`],
      env: {
        LONGSHORE_CONTROLLER_URL: url,
        LONGSHORE_JOIN_TOKEN: joinToken,
        LONGSHORE_DATA_DIR: '/var/lib/longshore-agent',
        LONGSHORE_HOST_NAME: 'boxed'
      }
    })
    await waitUntil('the agent in its container', async () => {
      const agents = JSON.parse(await cli('agents', '--output', 'json')) as { name: string; state: string }[]
      return agents.some(({ name, state }) => name === 'boxed' && state === 'connected')
    })
    await expectOrderlyStop(t, engine, 'agent')
    await expectOrderlyStop(t, engine, 'controller')
  },
  { timeoutMs: 300_000 }
)
