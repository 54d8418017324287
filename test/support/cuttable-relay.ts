// A way to a server that can be cut and mended, byte for byte: for whoever has to notice that the network is gone.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

export type CuttableRelay = {
  url: string
  /** Ends what goes through it; until it is mended, whoever comes is sent away. */
  cut(): void
  mend(): void
}

/** At the server's own address, with another port. */
export const startCuttableRelay = async (t: Test, serverUrl: string): Promise<CuttableRelay> => {
  const { hostname, port } = new URL(serverUrl)
  const open = new Set<Socket>()
  let isCut = false
  const server = createServer((client) => {
    if (isCut) return client.destroy()
    const far = connect(Number(port), hostname)
    for (const [one, other] of [
      [client, far],
      [far, client]
    ] as const) {
      open.add(one)
      one.pipe(other)
      one.on('error', () => undefined)
      one.once('close', () => {
        open.delete(one)
        other.destroy()
      })
    }
  })
  server.listen(0, hostname)
  await once(server, 'listening')
  const cut = (): void => {
    isCut = true
    for (const socket of open) socket.destroy()
  }
  t.teardown(() => {
    cut()
    server.close()
  })
  return {
    url: `http://${hostname}:${(server.address() as AddressInfo).port}`,
    cut,
    mend: () => {
      isCut = false
    }
  }
}
