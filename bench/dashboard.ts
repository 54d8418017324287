// What the page for operators does with many hosts: the real controller with a session for each, Chromium on the
// fleet. Until it can be used, from something happening until it is seen, and memory while hosts go on telling things.
// `node bench/dashboard.ts [hosts] [minutes]`
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { importVerifyKey, keyAnnouncement, readUnverified } from '@longshore/protocol'
import { chromium, type Page } from 'playwright-core'
import { bundlePrograms } from '../scripts/bundle.ts'
import {
  bundledPrograms,
  type Controller,
  initController,
  startController
} from '../scripts/hosts/programs.ts'
import { removeFolder } from '../scripts/hosts/remove-leftovers.ts'
import { type Client, connect, enrol, helloOf, newMachine } from '../test/support/agent-client.ts'
import { measureMs, median } from './measure.ts'

const hostCount = Number(process.argv[2] ?? 2000)
const minutes = Number(process.argv[3] ?? 10)
const port = 7392
const rounds = 10
/** Hosts that tell something new all the time, and how often each does. */
const tellers = 20
const tellEveryMs = 200
const endings: (() => Promise<unknown>)[] = []

const startHosts = async (controller: Controller, joinToken: string): Promise<void> => {
  const program = join(import.meta.dirname, 'answering-hosts.ts')
  const child = spawn(process.execPath, [program, controller.url, joinToken, '1', String(hostCount)], {
    stdio: ['pipe', 'pipe', 'inherit']
  })
  const ended = once(child, 'close')
  endings.push(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
}

const ask = async <T>(controller: Controller, path: string): Promise<T> => {
  const headers = { authorization: `Bearer ${controller.token}` }
  return (await (await fetch(controller.url + path, { headers })).json()) as T
}

/** A host of this process: connected again by each call. */
const joinOne = async (controller: Controller, name: string, joinToken: string) => {
  const { chain } = await ask<{ chain: [string] }>(controller, '/v1/keys')
  const { installation } = await ask<{ installation: string }>(controller, '/v1/info')
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
    await page.getByText(`${hostCount + tellers + 1} hosts`, { exact: true }).waitFor()
    await page.getByLabel('Filter').fill('probe')
    await page.getByText(`1 of ${hostCount + tellers + 1} hosts`).waitFor()
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

/** What is alive after a collection. */
const heapMebibytes = async (page: Page): Promise<number> => {
  const session = await page.context().newCDPSession(page)
  await session.send('HeapProfiler.collectGarbage')
  const { usedSize } = await session.send('Runtime.getHeapUsage')
  await session.detach()
  return usedSize / 1024 ** 2
}

const tellAlways = (clients: readonly Client[]): NodeJS.Timeout[] =>
  clients.map((client, index) =>
    setInterval(() => {
      const inventory = { ...helloOf(`teller-${index}`).inventory, load: Math.random() }
      client.send([{ type: 'inventory', inventory }])
    }, tellEveryMs)
  )

const run = async (folder: string): Promise<void> => {
  await bundlePrograms(join(folder, 'out'))
  const program = bundledPrograms(join(folder, 'out')).cli
  const dataFolder = join(folder, 'controller')
  const token = await initController(dataFolder)
  const controller = await startController({ dataFolder, address: '127.0.0.1', port, program }, token)
  endings.push(() => controller.stop())
  await controller.cli('environments', 'create', 'bench')
  const joinToken = (await controller.cli('join-token', 'create', '--env', 'bench')).stdout.trim()
  await startHosts(controller, joinToken)
  const reconnect = await joinOne(controller, 'probe', joinToken)
  const names = Array.from({ length: tellers }, (_, index) => `teller-${index}`)
  const clients = await Promise.all(names.map(async (name) => (await joinOne(controller, name, joinToken))()))
  endings.push(async () => {
    for (const { socket } of clients) socket.terminate()
  })
  const page = await openFleet(controller)
  console.log(`${hostCount} hosts connected, load average ${loadavg()[0]?.toFixed(1)}`)
  const openings: number[] = []
  for (let round = 0; round < 5; round++) openings.push(await measureOpening(page))
  console.log(
    `until it can be used     ${median(openings).toFixed(0)} ms, at most ${Math.max(...openings).toFixed(0)} ms`
  )
  const quiet = await measureUpdates(page, reconnect)
  console.log(
    `until a change is seen   ${median(quiet).toFixed(0)} ms, at most ${Math.max(...quiet).toFixed(0)} ms`
  )
  const timers = tellAlways(clients)
  endings.push(async () => timers.forEach(clearInterval))
  const busy = await measureUpdates(page, reconnect)
  console.log(
    `while ${(tellers * 1000) / tellEveryMs} things a second happen: ${median(busy).toFixed(0)} ms, at most ${Math.max(...busy).toFixed(0)} ms`
  )
  for (let minute = 0; minute <= minutes; minute++) {
    if (minute > 0) await pause(60_000)
    const rows = await page.getByRole('listitem').count()
    console.log(
      `after ${minute} min of it: ${(await heapMebibytes(page)).toFixed(1)} MiB, ${rows} rows in the document`
    )
    if (minute === 0) await page.getByLabel('Filter').fill('')
  }
}

const folder = mkdtempSync(join(tmpdir(), 'lsh-'))
try {
  await run(folder)
} finally {
  for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end().catch(console.error)
  await removeFolder(folder)
}
