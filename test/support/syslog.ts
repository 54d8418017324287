// A syslog server for tests: containers with the syslog driver send their lines here (RFC 3164 over UDP).
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Test } from 'tap'
import { waitUntil } from './wait.ts'

export type SyslogReceiver = {
  /** For the option `syslog-address`. */
  address: string
  lines(): readonly string[]
  waitForLine(pattern: RegExp): Promise<string>
}

/** Listens on a free port of the address until the end of the test. */
export const startSyslogReceiver = async (t: Test, host: string): Promise<SyslogReceiver> => {
  const socket = createSocket('udp4')
  const lines: string[] = []
  socket.on('message', (packet) => lines.push(packet.toString('utf8')))
  socket.bind(0, host)
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return {
    address: `udp://${host}:${socket.address().port}`,
    lines: () => lines,
    waitForLine: (pattern) =>
      waitUntil(`a syslog line like ${pattern}`, () => lines.find((line) => pattern.test(line)))
  }
}
