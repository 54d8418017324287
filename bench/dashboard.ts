// What the page for operators does with many hosts: the real controller with a session for each, Chromium on the
// fleet. Until it can be used, from something happening until it is seen, and memory while hosts tell things, come and
// go, and deployments run. Ends with 1 when an aim was missed. `node bench/dashboard.ts [hosts] [minutes]`
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { type Inventory, importVerifyKey, keyAnnouncement, readUnverified } from '@longshore/protocol'
import { chromium, type Page } from 'playwright-core'
import { bundlePrograms } from '../scripts/bundle.ts'
import {
  bundledPrograms,
  type Controller,
  initController,
  startController
} from '../scripts/hosts/programs.ts'
import { removeFolder } from '../scripts/hosts/remove-leftovers.ts'
import { waitUntil } from '../scripts/hosts/wait-until.ts'
import { type Client, connect, enrol, helloOf, newMachine } from '../test/support/agent-client.ts'
import { type Held, heldBy } from '../test/support/page-memory.ts'
import { askController } from './ask-controller.ts'
import { isBounded, isSteady, measureMs, median, residentMebibytes, tenths } from './measure.ts'

const hostCount = Number(process.argv[2] ?? 2000)
const minutes = Number(process.argv[3] ?? 10)
const port = 7392
const rounds = 10
/** Hosts that tell something new all the time, and how often each does; one of them goes and comes so often. */
const tellerCount = 20
const tellEveryMs = 200
const comeAndGoEveryMs = 2000
/** Hosts to which something is deployed so often. */
const busyHosts = 5
const deployEveryMs = 5000
/** The page keeps the hundred that ended last: it is filled before its memory is judged. */
const deploymentsBefore = 110
const allHosts = hostCount + tellerCount + busyHosts + 1
const endings: (() => Promise<unknown>)[] = []

type Teller = { name: string; client: Client; reconnect: () => Promise<Client> }

/** Hosts that answer every command, in a process of their own. */
const startHosts = async (controller: Controller, joinToken: string, first: number, count: number) => {
  const program = join(import.meta.dirname, 'answering-hosts.ts')
  const args = [program, controller.url, joinToken, String(first), String(count)]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  endings.push(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
}

/** A host of this process: connected again by each call. */
const joinOne = async (controller: Controller, name: string, joinToken: string) => {
  const { chain } = await askController<{ chain: [string] }>(controller, '/v1/keys')
  const { installation } = await askController<{ installation: string }>(controller, '/v1/info')
  const { key } = readUnverified('key', chain[0], keyAnnouncement)
  const trusted = { installation, key: await importVerifyKey(key) }
  const machine = await newMachine(name)
  await enrol(controller.url, machine, joinToken)
  return (): Promise<Client> => connect(controller.url, machine, trusted)
}

const openFleet = async (controller: Controller): Promise<Page> => {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']
  })
  endings.push(() => browser.close())
  const page = await browser.newPage()
  await page.goto(controller.url)
  await page.getByLabel('API token').fill(controller.token)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Fleet' }).waitFor()
  return page
}

/** From the request for the page until a filter that was typed has its effect. */
const measureOpening = (page: Page): Promise<number> =>
  measureMs(async () => {
    await page.reload()
    await page.getByText(`${allHosts} hosts`, { exact: true }).waitFor()
    await page.getByLabel('Filter').fill('probe')
    await page.getByText(`1 of ${allHosts} hosts`).waitFor()
  })

/** From the end of a session until the page says so, and from the beginning of one. */
const measureUpdates = async (page: Page, reconnect: () => Promise<Client>): Promise<number[]> => {
  const line = page.getByRole('listitem').filter({ hasText: 'probe' })
  const times: number[] = []
  let client = await reconnect()
  for (let round = 0; round < rounds; round++) {
    await line.getByText('connected').waitFor()
    times.push(
      await measureMs(async () => {
        client.socket.terminate()
        await line.getByText('silent').waitFor()
      })
    )
    times.push(
      await measureMs(async () => {
        client = await reconnect()
        await line.getByText('connected').waitFor()
      })
    )
  }
  client.socket.terminate()
  await line.getByText('silent').waitFor()
  return times
}

let deployed = 0
/** Resolves when it has ended. */
const deploy = async (controller: Controller): Promise<void> => {
  const digest = `sha256:${createHash('sha256').update(String(deployed++)).digest('hex')}`
  const asked = { environment: 'busy', service: 'web', what: { by: 'digest', digest } }
  const { id } = await askController<{ id: string }>(controller, '/v1/deployments', asked)
  await waitUntil('the deployment to end', async () => {
    const { outcome } = await askController<{ outcome: string | null }>(controller, `/v1/deployments/${id}`)
    return outcome !== null
  })
}

/** Something of everything that changes on such a page, until it is stopped. */
const churn = (controller: Controller, tellers: readonly Teller[]): void => {
  /** Left out while the one before it goes on. */
  const every = (ms: number, work: (round: number) => Promise<unknown>): void => {
    let [round, isBusy] = [0, false]
    const turn = async (): Promise<void> => {
      if (isBusy) return
      isBusy = true
      await work(round++).catch(console.error)
      isBusy = false
    }
    const timer = setInterval(() => void turn(), ms)
    endings.push(async () => clearInterval(timer))
  }
  every(tellEveryMs, async (round) => {
    for (const { name, client } of tellers)
      client.send([{ type: 'inventory', inventory: inventoryOf(name, round) }])
  })
  every(comeAndGoEveryMs, async (round) => {
    const teller = tellers[round % tellers.length]
    if (teller === undefined) return
    teller.client.socket.terminate()
    teller.client = await teller.reconnect()
  })
  every(deployEveryMs, () => deploy(controller))
}

const inventoryOf = (name: string, round: number): Inventory => ({
  ...helloOf(name).inventory,
  load: Math.random(),
  diskFreeBytes: 2 ** 30 + round,
  diskTotalBytes: 2 ** 32
})

/** What an operator does all day: from the fleet to each other view, and back. */
const lookAround = async (page: Page): Promise<void> => {
  for (const view of ['Deployments', 'Audit', 'Tokens and joins', 'Fleet']) {
    await page.getByRole('link', { name: view, exact: true }).click()
    await page.getByRole('heading', { name: view, level: 1 }).waitFor()
  }
  await page.getByText(/^[\d,]+ hosts$/).waitFor()
}

type Look = Held & { controllerMebibytes: number }

/** What is under way just now (an answer, a batch of events) is no part of what is held: the least of some looks. */
const leastHeldBy = async (page: Page): Promise<Held> => {
  const all: Held[] = []
  for (let round = 0; round < 5; round++) {
    all.push(await heldBy(page))
    await pause(500)
  }
  const least = (of: keyof Held): number => Math.min(...all.map((held) => held[of]))
  return { heapMebibytes: least('heapMebibytes'), nodes: least('nodes'), listeners: least('listeners') }
}

const watchMemory = async (page: Page, pid: number): Promise<Look[]> => {
  const looks: Look[] = []
  const beganMs = performance.now()
  for (let tenth = 0; tenth <= tenths; tenth++) {
    await pause(Math.max(0, beganMs + (tenth * minutes * 60_000) / tenths - performance.now()))
    await lookAround(page)
    const look = { ...(await leastHeldBy(page)), controllerMebibytes: residentMebibytes(pid) }
    looks.push(look)
    console.log(
      `after ${((tenth * minutes) / tenths).toFixed(1)} min  ${look.heapMebibytes.toFixed(1)} MiB, ${look.nodes} nodes, ${look.listeners} listeners; ` +
        `controller ${look.controllerMebibytes.toFixed(0)} MiB; load average ${loadavg()[0]?.toFixed(1)}`
    )
  }
  return looks
}

/** Figures in a line, and the aim with them. */
const tellTimes = (what: string, times: readonly number[], aimMs: number): void => {
  console.log(
    `${what.padEnd(28)} ${median(times).toFixed(0)} ms, at most ${Math.max(...times).toFixed(0)} ms of ${times.length}; load average ${loadavg()[0]?.toFixed(1)}`
  )
  judge(`${what}: ${aimMs} ms`, median(times) <= aimMs)
}

const judge = (aim: string, isMet: boolean): void => {
  console.log(`${isMet ? 'met   ' : 'missed'} ${aim}`)
  if (!isMet) process.exitCode = 1
}

const tellMemory = (looks: readonly Look[]): void => {
  judge('the page: heap is steady', isSteady(looks.map(({ heapMebibytes }) => heapMebibytes)))
  judge('the page: nodes are steady', isSteady(looks.map(({ nodes }) => nodes)))
  judge('the page: listeners are steady', isSteady(looks.map(({ listeners }) => listeners)))
  judge('the controller: memory is bounded', isBounded(looks.map((look) => look.controllerMebibytes)))
}

const prepare = async (folder: string): Promise<{ controller: Controller; joinToken: string }> => {
  await bundlePrograms(join(folder, 'out'))
  const program = bundledPrograms(join(folder, 'out')).cli
  const dataFolder = join(folder, 'controller')
  const token = await initController(dataFolder)
  const controller = await startController({ dataFolder, address: '127.0.0.1', port, program }, token)
  endings.push(() => controller.stop())
  const tokenFor = async (environment: string): Promise<string> => {
    await askController(controller, '/v1/environments', { name: environment })
    return (
      await askController<{ token: string }>(controller, '/v1/join-tokens', { environment, labels: {} })
    ).token
  }
  const joinToken = await tokenFor('bench')
  await startHosts(controller, joinToken, 1, hostCount)
  await startHosts(controller, await tokenFor('busy'), hostCount + 1, busyHosts)
  const file = join(folder, 'web.json')
  const web = { image: 'registry.example/web', deploy: { update_config: { monitor: '0s' } } }
  writeFileSync(file, JSON.stringify({ services: { web } }))
  const { exitCode, stderr } = await controller.cli('apply', '-f', file, '--env', 'busy')
  if (exitCode !== 0) throw new Error(stderr)
  return { controller, joinToken }
}

const run = async (folder: string): Promise<void> => {
  const { controller, joinToken } = await prepare(folder)
  const reconnect = await joinOne(controller, 'probe', joinToken)
  const names = Array.from({ length: tellerCount }, (_, index) => `teller-${index}`)
  const tellers: Teller[] = []
  for (const name of names) {
    const again = await joinOne(controller, name, joinToken)
    tellers.push({ name, reconnect: again, client: await again() })
  }
  endings.push(async () => {
    for (const { client } of tellers) client.socket.terminate()
  })
  const page = await openFleet(controller)
  console.log(`${hostCount} hosts connected, load average ${loadavg()[0]?.toFixed(1)}`)
  const openings: number[] = []
  for (let round = 0; round < 5; round++) openings.push(await measureOpening(page))
  tellTimes('until it can be used', openings, 2000)
  tellTimes('until a change is seen', await measureUpdates(page, reconnect), 1000)
  for (let round = 0; round < deploymentsBefore; round++) await deploy(controller)
  churn(controller, tellers)
  tellTimes('the same amid the churn', await measureUpdates(page, reconnect), 1000)
  await page.getByLabel('Filter').fill('')
  tellMemory(await watchMemory(page, controller.process.pid))
  await page.getByLabel('Filter').fill('probe')
  tellTimes('the same at the end', await measureUpdates(page, reconnect), 1000)
}

const folder = mkdtempSync(join(tmpdir(), 'lsh-'))
try {
  await run(folder)
} finally {
  for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end().catch(console.error)
  await removeFolder(folder)
}
