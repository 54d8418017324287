// Whether both Dockerfiles build, and what they build runs as docs/containers.md says: on a read-only root, without
// rights, with health that tells the truth; the controller's image is the CLI of a pipeline too, and the agent manages the
// engine that runs it without ever stopping itself.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import type { ServiceSpec } from '@longshore/protocol'
import { readServiceFiles } from '@longshore/protocol/spec'
import t, { type Test } from 'tap'
import { buildCreateRequest } from '../../packages/agent/src/core/create-request.ts'
import { runCommand } from '../../scripts/hosts/run-command.ts'
import { type BuildEngine, startBuildEngine } from '../support/build-engine.ts'
import { makeWebImage } from '../support/images.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { startTestRegistry } from '../support/registry.ts'
import { importStandIn } from '../support/stand-in-image.ts'
import { waitUntil } from '../support/wait.ts'

const checkout = resolve(import.meta.dirname, '../..')
/** The user that Dockerfile.controller names. */
const controllerUser = 1000
/** Any but root, and any group. */
const agentUser = 1001
const socketGroup = 2000

/** What docker build sends, as .dockerignore says it. */
const contextPaths = [...readFileSync(join(checkout, '.dockerignore'), 'utf8').matchAll(/^!(.+)$/gm)].map(
  ([, path = '']) => path
)

/** Builds from the files of a context that git knows, as they are in the work tree. */
const buildImage = async ({ client }: BuildEngine, dockerfile: string, tag: string): Promise<void> => {
  const list = 'git ls-files -z --cached --deduplicate -- "$@" | tar --create --null --files-from=-'
  const context = spawn('sh', ['-c', list, 'sh', dockerfile, ...contextPaths], {
    cwd: checkout,
    stdio: ['ignore', 'pipe', 'inherit']
  })
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

type Run = {
  image: 'controller' | 'agent'
  name: string
  args?: string[]
  env?: Record<string, string>
  binds?: string[]
  user?: string
  /** Beside its own: of the Docker socket. */
  group?: number
}

/** The services of deploy/compose, as docker compose would read them. */
const composed: Partial<Record<string, ServiceSpec>> = readServiceFiles(
  [{ name: 'compose.yaml', text: readFileSync(join(checkout, 'deploy/compose/compose.yaml'), 'utf8') }],
  {
    environment: {},
    readEnvFile: () => {
      throw new Error('not prepared')
    }
  }
).services

/** As docker compose does, but for command, volumes and settings of the test, and on the network that the engine has. */
const start = async ({ client }: BuildEngine, run: Run): Promise<void> => {
  const spec = composed[run.image]
  if (spec === undefined) throw new Error(`compose.yaml has no ${run.image}`)
  const { body } = buildCreateRequest({
    spec: {
      ...spec,
      command: run.args ?? spec.command,
      user: run.user ?? spec.user,
      groupAdd: run.group === undefined ? [] : [String(run.group)],
      environment: run.env ?? {},
      networkMode: 'host',
      ports: [],
      volumes: [],
      restart: { name: 'no', maxRetries: 0 },
      tty: true
    },
    image: run.image,
    name: run.name,
    labels: {},
    apiMinor: 41
  })
  const HostConfig = { ...body.HostConfig, Binds: run.binds ?? [] }
  await client.post(`/containers/create?name=${run.name}`, { ...body, HostConfig })
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

type Inspected = { Id: string; State: { ExitCode: number; Running: boolean; StartedAt: string } }
const inspect = async ({ client }: BuildEngine, name: string): Promise<Inspected> => {
  const { Id, State } = await client.get<Inspected>(`/containers/${name}/json`)
  const { ExitCode, Running, StartedAt } = State
  return { Id, State: { ExitCode, Running, StartedAt } }
}

/** SIGTERM as `docker stop` sends it; 137 would be the SIGKILL that follows after ten seconds. */
const expectOrderlyStop = async (t: Test, engine: BuildEngine, name: string): Promise<void> => {
  const begunAtMs = performance.now()
  await engine.client.post(`/containers/${name}/stop?t=10`)
  // a figure to look at: a busy machine may take longer than the two seconds that are promised
  t.comment(`${name} stopped after ${Math.round(performance.now() - begunAtMs)} ms`)
  const { State } = await inspect(engine, name)
  t.equal(State.ExitCode, 0, `${name} ends by itself on SIGTERM`)
}

/** Runs the image's own HEALTHCHECK once, as the engine does every half minute. */
const checkHealth = async ({ client }: BuildEngine, name: string): Promise<number | null> => {
  const { Config } = await client.get<{ Config: { Healthcheck: { Test: [string, ...string[]] } } }>(
    `/containers/${name}/json`
  )
  const [, ...command] = Config.Healthcheck.Test
  const { Id } = await client.post<{ Id: string }>(`/containers/${name}/exec`, { Cmd: command })
  await client.post(`/exec/${Id}/start`, { Detach: true })
  let code: number | null = null
  await waitUntil('the health check to end', async () => {
    const { Running, ExitCode } = await client.get<{ Running: boolean; ExitCode: number | null }>(
      `/exec/${Id}/json`
    )
    code = ExitCode
    return !Running && ExitCode !== null
  })
  return code
}

/** A process that hangs is found out, and forgiven once it goes on. */
const expectTrueHealth = async (t: Test, engine: BuildEngine, name: string): Promise<void> => {
  const { client } = engine
  t.equal(await checkHealth(engine, name), 0, `${name} is healthy`)
  const { State } = await client.get<{ State: { Pid: number } }>(`/containers/${name}/json`)
  process.kill(State.Pid, 'SIGSTOP')
  try {
    t.not(await checkHealth(engine, name), 0, `${name} is not healthy while it hangs`)
  } finally {
    process.kill(State.Pid, 'SIGCONT')
  }
  await waitUntil(`${name} to be healthy again`, async () => (await checkHealth(engine, name)) === 0)
}

const labelsOf = async ({ client }: BuildEngine, image: string): Promise<Record<string, string>> =>
  (await client.get<{ Config: { Labels: Record<string, string> } }>(`/images/${image}/json`)).Config.Labels

/** What a pipeline types: `docker run --rm longshore/controller ...`. */
class Pipeline {
  readonly #engine: BuildEngine
  readonly #env: Record<string, string>
  readonly #binds: string[]
  #count = 0

  constructor(engine: BuildEngine, env: Record<string, string>, binds: string[]) {
    this.#engine = engine
    this.#env = env
    this.#binds = binds
  }

  async run(...args: string[]): Promise<{ exitCode: number; output: string }> {
    const name = `cli-${++this.#count}`
    return runToEnd(this.#engine, { image: 'controller', name, args, env: this.#env, binds: this.#binds })
  }

  async succeed(t: Test, ...args: string[]): Promise<string> {
    const { exitCode, output } = await this.run(...args)
    t.equal(exitCode, 0, `longshore ${args.join(' ')}: ${output}`)
    return output.trim()
  }
}

testOnRealParts(
  t,
  'both Dockerfiles build images that run the controller, the CLI and the agent',
  async (t) => {
    const engine = await startBuildEngine(t)
    const { client } = engine
    const folder = makeTestFolder(t)
    await importStandIn(client, join(folder, 'stand-in'), 'stand-in')
    await buildImage(engine, 'Dockerfile.controller', 'controller')
    await buildImage(engine, 'Dockerfile.agent', 'agent')

    const version = await runToEnd(engine, { image: 'controller', name: 'version', args: ['version'] })
    t.match(version, { exitCode: 0, output: /\d+\.\d+\.\d+/ })
    for (const image of ['controller', 'agent']) {
      const labels = await labelsOf(engine, image)
      t.equal(labels['org.opencontainers.image.version'], /\d+\.\d+\.\d+/.exec(version.output)?.[0])
      t.equal(labels['org.opencontainers.image.licenses'], 'MIT')
    }

    const files = join(folder, 'files')
    mkdirSync(files)
    chownSync(files, controllerUser, controllerUser)
    // a new volume takes its owner from the image
    const binds = ['controller-data:/var/lib/longshore', `${files}:/files`]
    const data = ['--data', '/var/lib/longshore']
    const care = (name: string, ...args: string[]) =>
      runToEnd(engine, { image: 'controller', name, args: ['controller', ...args, ...data], binds })
    const init = await care('init', 'init')
    t.equal(init.exitCode, 0, init.output)
    const token = init.output.trim().split(/\s+/).at(-1) ?? ''

    const url = `http://127.0.0.1:${await freePort()}`
    const args = ['controller', 'start', ...data, '--listen', url.replace('http://', '')]
    await start(engine, { image: 'controller', name: 'controller', args, binds })
    await waitUntil('the controller in its container', async () => (await fetch(`${url}/readyz`)).ok)
    await expectTrueHealth(t, engine, 'controller')

    const pipeline = new Pipeline(engine, { LONGSHORE_URL: url, LONGSHORE_TOKEN: token, TERM: 'dumb' }, binds)
    await pipeline.succeed(t, 'environments', 'create', 'test')
    // with a terminal, remarks stand beside it
    const [joinToken = ''] =
      /eyJ\S+/.exec(await pipeline.succeed(t, 'join-token', 'create', '--env', 'test')) ?? []

    const agentData = join(folder, 'agent')
    mkdirSync(agentData)
    chmodSync(engine.socketPath, 0o660)
    const agentRun: Run = {
      image: 'agent',
      name: 'agent',
      binds: [`${engine.socketPath}:/var/run/docker.sock`, `${agentData}:/var/lib/longshore-agent`],
      env: {
        LONGSHORE_CONTROLLER_URL: url,
        LONGSHORE_JOIN_TOKEN: joinToken,
        LONGSHORE_HOST_NAME: 'boxed',
        LONGSHORE_MIN_FREE_BYTES: '0'
      }
    }
    const waitForAgent = async (): Promise<void> => {
      const headers = { authorization: `Bearer ${token}` }
      await waitUntil('the agent in its container', async () => {
        const agents = (await (await fetch(`${url}/v1/agents`, { headers })).json()) as { state: string }[]
        return agents.length === 1 && agents[0]?.state === 'connected'
      })
    }
    await start(engine, agentRun)
    await waitForAgent()
    await expectTrueHealth(t, engine, 'agent')

    const begun = { agent: await inspect(engine, 'agent'), controller: await inspect(engine, 'controller') }
    const registry = await startTestRegistry(t, '127.0.0.1', await freePort())
    const apply = (name: string, more: object): Promise<string> => {
      const spec = {
        image: `${registry.name}/web`,
        command: ['/bin/busybox', 'sleep', '1000'],
        stop_grace_period: '1s',
        // the engine of this test has no bridge
        network_mode: 'host',
        deploy: { update_config: { monitor: '100ms' } },
        'x-longshore': { keep_images: 0 },
        ...more
      }
      // JSON is YAML too.
      writeFileSync(join(files, `${name}.yaml`), JSON.stringify({ services: { [name]: spec } }))
      return pipeline.succeed(t, 'apply', '-f', `/files/${name}.yaml`, '--env', 'test')
    }
    await apply('web', {})
    for (const tag of ['1', '2']) {
      await registry.push('web', tag, makeWebImage(tag, 'unchecked'))
      await pipeline.succeed(t, 'deploy', 'web', '--env', 'test', '--tag', tag)
    }
    const refuse = async (name: string, why: RegExp, ...more: string[]): Promise<void> => {
      const refused = await pipeline.run('deploy', name, '--env', 'test', '--tag', '2', ...more)
      t.match(refused, { exitCode: 4, output: why }, name)
    }
    await apply('by-name', { container_name: 'agent' })
    await refuse('by-name', /container\s+name\s+agent\s+is\s+taken/)
    await refuse('by-name', /agent\s+is\s+the\s+agent\s+itself/, '--replace', 'agent')
    await apply('by-port', { network_mode: undefined, ports: [`${new URL(url).port}:80`] })
    await refuse('by-port', new RegExp(new URL(url).port))

    const saved = await care('backup', 'backup', '/files/backup.tar')
    t.equal(saved.exitCode, 0, saved.output)
    const restored = await runToEnd(engine, {
      image: 'controller',
      name: 'restore',
      args: ['controller', 'restore', '/files/backup.tar', ...data],
      binds: ['restored-data:/var/lib/longshore', `${files}:/files`]
    })
    t.equal(restored.exitCode, 0, restored.output)

    for (const name of ['agent', 'controller'] as const)
      t.same(await inspect(engine, name), begun[name], `${name} was left alone`)
    await expectOrderlyStop(t, engine, 'agent')

    // another one on the same data, as a user of the socket's group
    chownSync(engine.socketPath, 0, socketGroup)
    await runCommand('chown', ['-R', `${agentUser}:${agentUser}`, agentData])
    const user = `${agentUser}:${agentUser}`
    await start(engine, { ...agentRun, name: 'agent-of-a-user', user, group: socketGroup })
    await waitForAgent()
    // it may use the socket
    await pipeline.succeed(t, 'deploy', 'web', '--env', 'test', '--tag', '1')
    await expectOrderlyStop(t, engine, 'agent-of-a-user')
    await expectOrderlyStop(t, engine, 'controller')
  },
  { timeoutMs: 600_000 }
)
