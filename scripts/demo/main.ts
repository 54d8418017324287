// The demo: a controller, an agent per host and a registry on this machine; deploys v1, then v2, then a broken v3
// that is reverted, and shows where to look next. Ends what it started, also on Ctrl-C; `--keep` waits for that.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Controller, initController, startAgent, startController } from '../hosts/programs.ts'
import { type Registry, startRegistry } from '../hosts/registry.ts'
import { waitUntil } from '../hosts/wait-until.ts'
import { makeWebImage, webPort } from '../hosts/web-image.ts'
import { DemoImpossible, type Ground, prepareGround } from './ground.ts'

const folder = resolve(import.meta.dirname, '../../.longshore/demo')
const serviceFile = join(folder, 'web.yaml')
const publishedPort = 8080
const registryPort = 5391

const agentFolder = (host: string): string => `${host}-agent`

/** What was started, in that order; ended in the opposite one. */
const endings: (() => Promise<unknown>)[] = []
const say = (line: string): void => void process.stdout.write(`\n${line}\n`)

const endAll = async (): Promise<void> => {
  for (let end = endings.pop(); end !== undefined; end = endings.pop()) {
    await end().catch((error: unknown) => process.stderr.write(`demo: ${String(error)}\n`))
  }
  rmSync(folder, { recursive: true, force: true })
}

const startParts = async (ground: Ground): Promise<{ controller: Controller; registry: Registry }> => {
  say('Starting a registry and the controller, and building the sample app in three versions')
  const registry = await startRegistry(join(folder, 'registry'), ground.address, registryPort)
  endings.push(() => registry.stop())
  for (const [tag, behaviour] of [
    ['v1', 'healthy'],
    ['v2', 'healthy'],
    ['v3', 'unhealthy']
  ] as const) {
    await registry.push('web', tag, makeWebImage(`hello from ${tag}`, behaviour))
  }
  const dataFolder = join(folder, 'controller')
  const token = await initController(dataFolder)
  writeFileSync(join(folder, 'token'), `${token}\n`, { mode: 0o600 })
  const controller = await startController({ dataFolder, address: ground.address }, token)
  endings.push(() => controller.stop())
  return { controller, registry }
}

const registerHosts = async (ground: Ground, controller: Controller): Promise<void> => {
  say('Registering the hosts: each agent makes its key and presents a join token')
  await controller.showCli('environments', 'create', 'demo')
  const { stdout } = await controller.cli('join-token', 'create', '--env', 'demo')
  for (const host of ground.hosts) {
    const agent = await startAgent({
      ...host,
      dataFolder: join(folder, agentFolder(host.name)),
      controllerUrl: controller.url,
      joinToken: stdout.trim()
    })
    endings.push(() => agent.stop())
  }
  await waitUntil('all agents to be connected', async () => {
    const { document } = await controller.cliJson<{ state: string }[]>('agents')
    return document.filter(({ state }) => state === 'connected').length === ground.hosts.length
  })
  await controller.showCli('agents')
}

const applyService = async (controller: Controller, registry: Registry): Promise<void> => {
  writeFileSync(
    serviceFile,
    `services:
  web:
    image: ${registry.name}/web
    ports: ["${publishedPort}:${webPort}"]
    environment:
      GREETING: hello
    restart: always
    deploy:
      update_config:
        monitor: 2s
`
  )
  say('Applying the service file:')
  await controller.showCli('apply', '-f', serviceFile, '--env', 'demo')
}

const deploy = async (ground: Ground, controller: Controller, tag: string): Promise<void> => {
  say(`$ longshore deploy web --env demo --tag ${tag}`)
  const exitCode = await controller.showCli('deploy', 'web', '--env', 'demo', '--tag', tag)
  process.stdout.write(`exit code ${exitCode}\n`)
  for (const { name, address } of ground.hosts) {
    const page = await (await fetch(`http://${address}:${publishedPort}/`)).text()
    process.stdout.write(`${name}: http://${address}:${publishedPort}/ answers "${page.trim()}"\n`)
  }
}

const showNextSteps = (controller: Controller): void => {
  say(`Where to look next, in another terminal while this runs (npm run demo -- --keep):
  export LONGSHORE_URL=${controller.url} LONGSHORE_ALLOW_PLAINTEXT=1
  export LONGSHORE_TOKEN_FILE=${join(folder, 'token')}
  npx longshore status
  npx longshore deployments
  npx longshore rollback web --env demo
README.md says how to install it on real hosts; docs/README.md lists the other pages.`)
}

/** A demo that was killed leaves its data; keys of its controller would make no sense to the next one. */
const forgetLastRun = ({ hosts }: Ground): void => {
  for (const name of ['controller', ...hosts.map((host) => agentFolder(host.name))]) {
    rmSync(join(folder, name), { recursive: true, force: true })
  }
}

const tell = async (isKept: boolean, interrupted: Promise<void>): Promise<void> => {
  const preparing = prepareGround(folder, say, () => !hasEnded)
  // Before it is ready: who is interrupted meanwhile has hosts to remove too.
  endings.push(() =>
    preparing.then(
      (ground) => ground.remove(),
      () => undefined
    )
  )
  const ground = await preparing
  if (hasEnded) return
  forgetLastRun(ground)
  const { controller, registry } = await startParts(ground)
  await registerHosts(ground, controller)
  await applyService(controller, registry)
  await deploy(ground, controller, 'v1')
  await deploy(ground, controller, 'v2')
  say('Version 3 never becomes healthy: the deployment is reverted, v2 goes on serving')
  await deploy(ground, controller, 'v3')
  await controller.showCli('status')
  showNextSteps(controller)
  if (!isKept) return
  say('Running until Ctrl-C')
  await interrupted
}

const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } })
const interrupted = new Promise<void>((done) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => done())
  // Whoever started the demo was killed.
  process.on('disconnect', () => done())
})
// A terminal that was closed takes no more lines; what was started is ended all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
let hasEnded = false
mkdirSync(folder, { recursive: true })
const story = tell(values.keep, interrupted).catch((error: unknown) => {
  // What was cut short by Ctrl-C fails somewhere: that is no news.
  if (hasEnded) return
  if (error instanceof DemoImpossible) endings.length = 0
  process.stderr.write(`\n${error instanceof DemoImpossible ? error.message : (error as Error).stack}\n`)
  process.exitCode = 1
})
await Promise.race([story, interrupted])
hasEnded = true
if (endings.length > 0) say('Ending what the demo started')
await endAll()
process.exit()
