// One kind of client for the bench of traffic, a process of its own so that it can run inside a host's network: GET
// over kept connections as fast as answers come, with as little work of its own as possible.
// `node bench/use-port.ts HOST PORT CLIENTS MS` prints one line of JSON.
import { connect } from 'node:net'
import { median } from './measure.ts'

export type PortUse = { p50Ms: number; p99Ms: number; perSecond: number }

const [host = '', port, clients, forMs] = process.argv.slice(2)
const request = 'GET / HTTP/1.1\r\nHost: bench\r\n\r\n'
const latencies: number[] = []

/** The answers to one request are all as long as the first, which fits into one packet. */
const use = (endMs: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect(Number(port), host)
    socket.setNoDelay(true)
    let answerBytes = 0
    let seenBytes = 0
    let askedAtMs = 0
    const ask = (): void => {
      seenBytes = 0
      askedAtMs = performance.now()
      socket.write(request)
    }
    socket.once('connect', ask)
    socket.on('data', (data: Buffer) => {
      seenBytes += data.length
      if (answerBytes === 0) {
        if (!data.toString('latin1').startsWith('HTTP/1.1 200')) return reject(new Error(String(data)))
        answerBytes = data.length
      }
      if (seenBytes < answerBytes) return
      const nowMs = performance.now()
      latencies.push(nowMs - askedAtMs)
      if (nowMs < endMs) ask()
      else socket.end(resolve)
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection was closed')))
  })

const beginMs = performance.now()
const endMs = beginMs + Number(forMs)
await Promise.all(Array.from({ length: Number(clients) }, () => use(endMs)))
const sorted = latencies.toSorted((a, b) => a - b)
const result: PortUse = {
  p50Ms: median(latencies),
  p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
  perSecond: (latencies.length * 1000) / (performance.now() - beginMs)
}
console.log(JSON.stringify(result))
