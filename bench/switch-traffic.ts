// How fast HAProxy's traffic is moved from one container to another and back: the agent's own adapter, inside a
// host's network, while one client asks as fast as answers come. Prints one line of JSON; see zero-downtime.ts.
import { Agent, get } from 'node:http'
import { createClock } from '../packages/agent/src/adapters/clock.ts'
import { processLife } from '../packages/agent/src/adapters/haproxy/life.ts'
import { createProxy } from '../packages/agent/src/adapters/haproxy/proxy.ts'
import type { RoutedContainer, ServiceRoute } from '../packages/agent/src/core/proxy/routes.ts'

export type SwitchOrder = {
  folder: string
  published: number
  target: number
  /** Each answers with its version. */
  containers: [Version, Version]
  rounds: number
}
type Version = RoutedContainer & { version: string }
export type SwitchTimes = { callMs: number[]; effectiveMs: number[] }

const order = JSON.parse(process.argv[2] ?? '') as SwitchOrder
const routeTo = ({ id, address }: Version): ServiceRoute => ({
  environment: 'bench' as ServiceRoute['environment'],
  service: 'switched' as ServiceRoute['service'],
  ports: [{ hostIp: null, published: order.published, target: order.target }],
  routing: { mode: 'http', hosts: [], tls: [], hasProxyProtocol: false, isPooled: false, keep: 'running' },
  containers: [{ id, address }]
})

const agent = new Agent({ keepAlive: true, maxSockets: 1 })
const ask = (): Promise<string> =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: order.published, agent }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      answer.on('end', () => resolve(text.trim()))
    }).on('error', reject)
  })
/** @returns when it answered */
const firstAnswerOf = async (version: string): Promise<number> => {
  while ((await ask()) !== version);
  return performance.now()
}

const silent = { info: () => undefined, warn: () => undefined, error: console.error }
const { folder, rounds, containers } = order
const proxy = await createProxy({ folder, life: processLife, clock: createClock(), log: silent })
await proxy.ensure()
await proxy.route(routeTo(containers[0]))
await firstAnswerOf(containers[0].version)
const times: SwitchTimes = { callMs: [], effectiveMs: [] }
for (let round = 1; round <= rounds; round++) {
  const [to, from] = round % 2 === 1 ? [containers[1], containers[0]] : [containers[0], containers[1]]
  const effective = firstAnswerOf(to.version)
  const beginMs = performance.now()
  await proxy.route(routeTo(to))
  times.callMs.push(performance.now() - beginMs)
  times.effectiveMs.push((await effective) - beginMs)
  while ((await proxy.detach(routeTo(to), [from.id])).requests > 0);
}
console.log(JSON.stringify(times))
await proxy.unroute(routeTo(containers[0]))
await proxy.stop()
agent.destroy()
process.exit(0)
