// When the controller is told what runs on the host.
import type { Inventory } from '@longshore/protocol'
import t from 'tap'
import { createInventoryWatch } from '../../../packages/agent/src/inventory.ts'
import type { Log } from '../../../packages/agent/src/link.ts'
import type { Clock } from '../../../packages/agent/src/ports.ts'
import { settle, takeOverImmediates } from '../../sim/settle.ts'
import { createVirtualTime } from '../../sim/virtual-time.ts'
import { preparedProxy } from '../../support/no-proxy.ts'

const usage = { diskFreeBytes: null, diskTotalBytes: null, load: null, memoryFreeBytes: null }
const noLog = {} as Log

const scene = () => {
  const time = createVirtualTime(0)
  const clock: Clock = time.clockFor(() => true)
  let containers: Inventory['containers'] = []
  let changed = (): void => {}
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
    clock,
    log: noLog
  })
  return {
    inventory,
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
