// Ports in the short form: `80:8888`, `127.0.0.1:80-82:8080-8082/udp`, `[::1]:80:80`, `8888`.
import * as z from 'zod'
import { ValueError } from './read-value.ts'
import type { PortSpec } from './service-spec.ts'

const ipAddress = z.union([z.ipv4(), z.ipv6()])

type Span = { readonly from: number; readonly to: number }

/** Ports that one entry may expand to; the spec holds 500 in all. */
const maxSpan = 500

/** `8000` or `8000-8010`. */
export const parseSpan = (text: string): Span => {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  if (match === null) throw new ValueError('expected a port or a range of ports')
  const from = Number(match[1])
  const to = match[2] === undefined ? from : Number(match[2])
  if (from < 1 || to > 65_535) throw new ValueError('a port is from 1 to 65535')
  if (to < from) throw new ValueError('a range of ports ends before it begins')
  if (to - from >= maxSpan) throw new ValueError(`a range has at most ${String(maxSpan)} ports`)
  return { from, to }
}

export const parseProtocol = (text: string): 'tcp' | 'udp' => {
  if (text === 'tcp' || text === 'udp') return text
  throw new ValueError('expected the protocol tcp or udp')
}

export const parseHostIp = (text: string): string => {
  const address = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
  if (!ipAddress.safeParse(address).success) throw new ValueError('expected an IP address of the host')
  return address
}

/** Pairs host and container ports one by one. */
export const pairPorts = (
  target: Span,
  published: Span | null,
  hostIp: string | null,
  protocol: 'tcp' | 'udp'
): PortSpec[] => {
  const count = target.to - target.from + 1
  if (published !== null && published.to - published.from + 1 !== count) {
    throw new ValueError('the range of host ports and the range of container ports differ in length')
  }
  return Array.from({ length: count }, (_, offset) => ({
    target: target.from + offset,
    published: published === null ? null : published.from + offset,
    hostIp,
    protocol
  }))
}

/** @throws ValueError */
export const parsePorts = (text: string): PortSpec[] => {
  const slash = text.indexOf('/')
  const protocol = slash < 0 ? 'tcp' : parseProtocol(text.slice(slash + 1).toLowerCase())
  const parts = (slash < 0 ? text : text.slice(0, slash)).split(':')
  const target = parseSpan(parts.pop() ?? '')
  const published = parts.pop()
  // What is left is an address; an IPv6 one has colons itself.
  const hostIp = parts.length === 0 ? null : parseHostIp(parts.join(':'))
  const isFree = published === undefined || published === ''
  if (isFree && published === '' && hostIp === null)
    throw new ValueError('a port is missing before the colon')
  return pairPorts(target, isFree ? null : parseSpan(published), hostIp, protocol)
}

/** `3000`, `3000-3002/udp`. @returns Docker's form, `3000/tcp`, one per port */
export const parseExposed = (text: string): string[] => {
  const [range = '', protocol = 'tcp', ...more] = text.split('/')
  if (more.length > 0) throw new ValueError('expected a port like 3000 or 3000/udp')
  const span = parseSpan(range)
  const name = parseProtocol(protocol)
  return Array.from(
    { length: span.to - span.from + 1 },
    (_, offset) => `${String(span.from + offset)}/${name}`
  )
}
