// What is asked of the host beside the Engine: free bytes, whether a port can be bound, whether a probe answers.
import { createSocket } from 'node:dgram'
import { readFile, statfs } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { PortSpec, ProbeSpec } from '@longshore/protocol'
import type { HostChecks } from '../../ports.ts'

type ProbeResult = { isOk: boolean; detail: string }

export const createHostChecks = (): HostChecks => ({
  freeBytes: async (path) => {
    try {
      const { bavail, bsize } = await statfs(path)
      return bavail * bsize
    } catch {
      // An agent in a container does not see Docker's directory unless it is mounted.
      return null
    }
  },
  routes: async () => {
    try {
      return readRoutes(await readFile('/proc/net/route', 'utf8'))
    } catch {
      // Not Linux: the engine itself refuses a subnet that meets another one.
      return []
    }
  },
  isPortBound: (port) => (port.protocol === 'tcp' ? isTcpBound(port) : isUdpBound(port)),
  probe: (probe, address, port) =>
    probe.type === 'tcp' ? probeTcp(probe, address, port) : probeHttp(probe, address, port)
})

/** Hexadecimal, in the order of bytes of the machine: little-endian wherever Docker runs. */
const readRoutes = (table: string): string[] =>
  table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, destination = '', , , , , , mask = ''] = line.split('\t')
      if (!/^[0-9A-F]{8}$/.test(destination) || !/^[0-9A-F]{8}$/.test(mask) || mask === '00000000') return []
      const bytes = destination.match(/../g)?.toReversed() ?? []
      const bits = Number.parseInt(mask, 16).toString(2).replaceAll('0', '').length
      return [`${bytes.map((byte) => Number.parseInt(byte, 16)).join('.')}/${bits}`]
    })

/** Only EADDRINUSE is a verdict: a low port may be forbidden to the agent and open to the engine. */
const isInUse = (error: Error): boolean => 'code' in error && error.code === 'EADDRINUSE'

const isTcpBound = (port: PortSpec): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(isInUse(error)))
    server.listen({ port: port.published ?? 0, host: port.hostIp ?? '0.0.0.0', exclusive: true }, () =>
      server.close(() => resolve(false))
    )
  })

const isUdpBound = (port: PortSpec): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createSocket(port.hostIp?.includes(':') === true ? 'udp6' : 'udp4')
    socket.once('error', (error) => {
      socket.close()
      resolve(isInUse(error))
    })
    socket.bind({ port: port.published ?? 0, address: port.hostIp ?? '0.0.0.0', exclusive: true }, () =>
      socket.close(() => resolve(false))
    )
  })

const probeTcp = (probe: ProbeSpec, address: string, port: number): Promise<ProbeResult> =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: probe.timeoutMs })
    const end = (isOk: boolean, detail: string) => {
      socket.destroy()
      resolve({ isOk, detail })
    }
    socket.once('connect', () => end(true, 'connected'))
    socket.once('timeout', () => end(false, `no connection to ${address}:${port} in ${probe.timeoutMs} ms`))
    socket.once('error', (error) => end(false, `no connection to ${address}:${port}: ${error.message}`))
  })

type HttpProbe = Extract<ProbeSpec, { type: 'http' }>

const probeHttp = (probe: HttpProbe, address: string, port: number): Promise<ProbeResult> =>
  new Promise((resolve) => {
    const end = (isOk: boolean, detail: string) => {
      clearTimeout(limit)
      request.destroy()
      resolve({ isOk, detail: `probe ${probe.path} on ${address}:${port}: ${detail}` })
    }
    // By getBuiltinModule: an import of node:http loads undici, 15 MB of it.
    const http = process.getBuiltinModule('node:http')
    const request = http.get(
      { host: address, port, path: probe.path, agent: false, headers: { 'user-agent': 'longshore-agent' } },
      (response) => {
        const status = response.statusCode ?? 0
        response.destroy()
        end(status >= probe.status.from && status <= probe.status.to, `status ${status}`)
      }
    )
    request.once('error', (error) => end(false, error.message))
    const limit = setTimeout(() => end(false, `no answer in ${probe.timeoutMs} ms`), probe.timeoutMs)
  })
