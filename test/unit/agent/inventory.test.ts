// When the controller is told what runs on the host.
import type { Inventory, InventoryImage } from '@longshore/protocol'
import t from 'tap'
import { createInventoryWatch } from '../../../packages/agent/src/inventory.ts'
import type { Log } from '../../../packages/agent/src/link.ts'
import type { Clock } from '../../../packages/agent/src/ports.ts'
import { settle, takeOverImmediates } from '../../sim/settle.ts'
import { createVirtualTime } from '../../sim/virtual-time.ts'
import { preparedProxy } from '../../support/no-proxy.ts'

const usage = { diskFreeBytes: null, diskTotalBytes: null, load: null, memoryFreeBytes: null }
const noLog = {} as Log
const image = { service: 'web', releases: [3, 2], digest: null, sizeBytes: 10 } as unknown as InventoryImage

const scene = () => {
  const time = createVirtualTime(0)
  const clock: Clock = time.clockFor(() => true)
  let containers: Inventory['containers'] = []
  let changed = (): void => {}
  let looks = 0
  const inventory = createInventoryWatch({
    watch: {
      list: async () => containers,
      onChange: (listener) => {
        changed = listener
        return () => {}
      }
    },
    proxy: preparedProxy(),
    measure: async () => usage,
    images: async () => {
      looks += 1
      return [image]
    },
    clock,
    log: noLog
  })
  return {
    inventory,
    imageLooks: () => looks,
    runs: (names: string[]): void => {
      containers = names.map((name) => ({ name })) as Inventory['containers']
      changed()
    },
    pass: async (durationMs: number): Promise<void> => {
      await settle()
      const untilMs = time.nowMs() + durationMs
      while ((time.nextAtMs() ?? Number.POSITIVE_INFINITY) <= untilMs) {
        time.passToNext()
        await settle()
      }
    }
  }
}

const namesIn = ({ containers }: Inventory): string[] => containers.map(({ name }) => name)

t.test('tells a new session at once of what changed since its hello', async (t) => {
  t.teardown(takeOverImmediates())
  const { inventory, runs, pass } = scene()
  const told: string[][] = []
  const tell = (picture: Inventory) => told.push(namesIn(picture))
  inventory.attach(tell)
  runs(['web-r1-0'])
  await pass(1_000)
  t.same(told, [['web-r1-0']])
  inventory.detach()
  runs(['web-r2-0'])
  t.same(namesIn(await inventory.look()), ['web-r2-0'], 'what the hello says')
  inventory.attach(tell)
  runs(['web-r1-0'])
  await pass(1_000)
  t.same(told, [['web-r1-0'], ['web-r1-0']], 'it is what the session before was told last')
  inventory.stop()
})

t.test('images are looked at for a hello and twice a minute at most', async (t) => {
  const { inventory, runs, pass, imageLooks } = scene()
  t.same((await inventory.look()).images, [image])
  const told: Inventory[] = []
  inventory.attach((one) => told.push(one))
  for (const names of [['a'], ['a', 'b'], ['b']]) {
    runs(names)
    await pass(300)
  }
  t.equal(told.length, 3)
  t.same(told.at(-1)?.images, [image])
  t.equal(imageLooks(), 1)
  inventory.refreshImages()
  runs(['c'])
  await pass(300)
  t.equal(imageLooks(), 2, 'and after a run')
  await pass(60_000)
  t.equal(imageLooks(), 3)
  inventory.stop()
})
