// So many hosts in one process, for bench/fleet.ts: real keys, enrolments and WebSocket sessions; every command is
// answered at once, as if it had succeeded, and no engine is asked. Prints `ready`, then after each line on its
// input how many frames have passed so far, both ways.
import { createInterface } from 'node:readline'
import {
  type Command,
  command,
  type Inventory,
  importVerifyKey,
  joinClaims,
  keyAnnouncement,
  readUnverified,
  signJws
} from '@longshore/protocol'
import { connect, enrol, type Machine, newMachine } from '../test/support/agent-client.ts'
import { obedient } from '../test/support/answering-agent.ts'

const [url = '', joinToken = '', first = '1', count = '1'] = process.argv.slice(2)
/** Enrolments in flight at once. */
const lanes = 16
let frames = 0

/** What runs there after a release, so that nothing is missing on the host. */
const inventoryAfter = ({ body, environment, service, deployment }: Command): Inventory | undefined =>
  body.kind !== 'release'
    ? undefined
    : {
        isEngineReachable: true,
        containers: [
          {
            ...{ id: 'c0ffeec0ffee', name: `${service}-r${body.release}-0`, environment, service },
            ...{ release: body.release, index: 0, deployment, state: 'running', health: 'healthy' },
            ...{ restartCount: 0, startedAtMs: Date.now(), exitCode: null, image: body.image.digest },
            ...{ isKept: false, specHash: '', role: 'serving', changes: [] }
          }
        ],
        diskFreeBytes: null,
        diskTotalBytes: null,
        load: null,
        memoryFreeBytes: null
      }

const join = async (machine: Machine): Promise<void> => {
  const { status, body } = await enrol(url, machine, joinToken)
  if (status >= 300) throw new Error(`${machine.hostName}: ${status} ${JSON.stringify(body)}`)
}

const attach = async (machine: Machine, trusted: Parameters<typeof connect>[2]): Promise<void> => {
  let number = 0
  const { socket } = await connect(url, machine, trusted, {
    hear: (message, client) => {
      if (message.type !== 'command') return
      const asked = readUnverified('command', message.jws, command)
      client.send([{ type: 'accepted', command: asked.id }])
      const outcome = obedient(asked)
      if (outcome === undefined) return
      number += 1
      const report = { command: asked.id, number, outcome, steps: [] }
      void signJws('receipt', report, machine.key).then((jws) => {
        client.send([{ type: 'report', jws }])
        const inventory = inventoryAfter(asked)
        if (inventory !== undefined) client.send([{ type: 'inventory', inventory }])
      })
    }
  })
  socket.on('message', () => {
    frames += 1
  })
  const send = socket.send.bind(socket) as (data: string) => void
  socket.send = (data: unknown) => {
    frames += 1
    send(data as string)
  }
}

const { installation } = readUnverified('join', joinToken, joinClaims)
const { chain } = (await (await fetch(`${url}/v1/keys`)).json()) as { chain: [string] }
const trusted = {
  installation,
  key: await importVerifyKey(readUnverified('key', chain[0], keyAnnouncement).key)
}
const numbers = Array.from({ length: Number(count) }, (_, index) => Number(first) + index)
const lane = async (): Promise<void> => {
  for (let next = numbers.shift(); next !== undefined; next = numbers.shift()) {
    const machine = await newMachine(`host${String(next).padStart(4, '0')}`)
    await join(machine)
    await attach(machine, trusted)
  }
}
await Promise.all(Array.from({ length: lanes }, lane))
console.log('ready')
for await (const _line of createInterface({ input: process.stdin })) console.log(`frames=${frames}`)
process.exit(0)
