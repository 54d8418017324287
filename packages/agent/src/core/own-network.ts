// Which addresses the agent gives on its own network, and which subnet that network gets. Pure: what is taken was seen
// before, in the same tick in which the plan is made and written down, so that two runs never choose the same one.
import type { ContainerRequest } from './observation.ts'
import type { Step } from './steps.ts'

/** The user-defined bridge on which containers have fixed addresses: HAProxy reaches them there. */
export const ownNetworkName = 'longshore'
/** Below: the gateway, and room for what an operator puts there by hand. */
const firstHost = 10

/** Inside what Docker's engine takes for its own networks by itself, so that it is hardly somebody else's. */
export const defaultSubnets: readonly string[] = [
  ...[30, 29, 28, 27, 26, 25, 24].map((second) => `172.${second}.77.0/24`),
  '192.168.213.0/24',
  '10.213.77.0/24',
  '10.87.213.0/24'
]

/** What is known of the network when a plan is made. */
export type NetworkView = {
  /** Of the network that is there, or that an open run is about to make; null: neither. */
  subnet: string | null
  /** In the order of preference, when it has to be made. */
  candidates: readonly string[]
  /** Subnets of Docker's other networks and of the host's routes. */
  occupied: readonly string[]
  /** Addresses of containers, of open runs, and of HAProxy's routes. */
  taken: readonly string[]
  /** Addresses in kept releases: given away last, since a container that is made again may get another one. */
  kept: readonly string[]
}

type Subnet = { first: number; size: number }

/** @returns null for what is no IPv4 subnet */
export const readSubnet = (text: string): Subnet | null => {
  const [, address = '', bits = ''] = /^([\d.]{7,15})\/(\d{1,2})$/.exec(text) ?? []
  const number = readAddress(address)
  if (number === null || Number(bits) > 32) return null
  const size = 2 ** (32 - Number(bits))
  return { first: number - (number % size), size }
}

const readAddress = (text: string): number | null => {
  const parts = text.split('.').map(Number)
  const isAddress = parts.length === 4 && parts.every((part) => Number.isInteger(part) && part <= 255)
  return isAddress ? parts.reduce((sum, part) => sum * 256 + part, 0) : null
}

const writeAddress = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')

const overlap = (a: Subnet, b: Subnet): boolean => a.first < b.first + b.size && b.first < a.first + a.size

/** The gateway of a subnet: its first address. */
export const gatewayOf = (subnet: string): string => writeAddress((readSubnet(subnet)?.first ?? 0) + 1)

/** Addresses for the containers of one plan. */
export class Addresses {
  /** null: none of the candidates is free. */
  readonly subnet: string | null
  readonly #taken: Set<string>
  readonly #kept: Set<string>

  constructor(view: NetworkView) {
    this.subnet = view.subnet ?? chooseSubnet(view)
    this.#taken = new Set(view.taken)
    this.#kept = new Set(view.kept)
  }

  /** @returns null when every address is taken */
  take(): string | null {
    const found = this.#find((one) => !this.#kept.has(one)) ?? this.#find(() => true)
    if (found !== null) this.#taken.add(found)
    return found
  }

  /** The address itself if it can be had, else another one. */
  takeAgain(address: string): string | null {
    const subnet = readSubnet(this.subnet ?? '')
    const number = readAddress(address)
    if (subnet === null || number === null || !isHostOf(subnet, number) || this.#taken.has(address))
      return this.take()
    this.#taken.add(address)
    return address
  }

  #find(isWanted: (address: string) => boolean): string | null {
    const subnet = readSubnet(this.subnet ?? '')
    if (subnet === null) return null
    for (let number = subnet.first + firstHost; isHostOf(subnet, number); number += 1) {
      const address = writeAddress(number)
      if (!this.#taken.has(address) && isWanted(address)) return address
    }
    return null
  }
}

/** The last address is the broadcast's. */
const isHostOf = ({ first, size }: Subnet, number: number): boolean =>
  number > first + 1 && number < first + size - 1

const chooseSubnet = ({ candidates, occupied }: NetworkView): string | null => {
  const others = occupied.flatMap((text) => readSubnet(text) ?? [])
  const isFree = (text: string): boolean => {
    const own = readSubnet(text)
    return own !== null && !others.some((other) => overlap(own, other))
  }
  return candidates.find(isFree) ?? null
}

/** @returns the address on the own network that a create request asks for; null: it does not join it */
export const ownAddressIn = (request: ContainerRequest): string | null => {
  const endpoint = asRecord(endpointsOf(request)[ownNetworkName])
  const address = asRecord(endpoint['IPAMConfig'])['IPv4Address']
  return typeof address === 'string' ? address : null
}

/** The same request with this address there. */
export const withOwnAddress = (request: ContainerRequest, address: string): ContainerRequest => ({
  ...request,
  body: {
    ...request.body,
    NetworkingConfig: {
      EndpointsConfig: { ...endpointsOf(request), [ownNetworkName]: { IPAMConfig: { IPv4Address: address } } }
    }
  }
})

const endpointsOf = (request: ContainerRequest) =>
  asRecord(asRecord(request.body['NetworkingConfig'])['EndpointsConfig'])

const asRecord = (value: unknown): { [key: string]: unknown } =>
  typeof value === 'object' && value !== null ? { ...value } : {}

/** What the steps of open runs have chosen, done or not: addresses, and the subnet of a network to be made. */
export const reservedBy = (steps: readonly Step[]): { addresses: string[]; subnet: string | null } => ({
  addresses: steps.flatMap((step) =>
    step.kind === 'create-container' || step.kind === 'remake-container'
      ? (ownAddressIn(step.request) ?? [])
      : []
  ),
  subnet: steps.find((step) => step.kind === 'create-own-network')?.subnet ?? null
})
