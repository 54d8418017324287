// What somebody changed by hand on a container that serves: `docker update`, `docker rename`, `docker network`. Compares
// what Docker shows with the create request that stands in the journal. Only what can be told for sure is told: a
// limit that the kernel does not know is dropped by the engine itself, so that one which is not there says nothing.
import { limits } from '@longshore/protocol'
import { isUp, type ReleaseRecord, type RestartPolicy, type SeenContainer } from './observation.ts'
import { writeRestart } from './own-labels.ts'

/** Fields of `HostConfig` that `docker update` sets, by Docker's names. */
export const adjustableKeys = [
  'Memory',
  'MemoryReservation',
  'MemorySwap',
  'NanoCpus',
  'CpuShares',
  'CpuPeriod',
  'CpuQuota',
  'CpusetCpus',
  'CpusetMems',
  'PidsLimit',
  'BlkioWeight'
] as const
export type AdjustableKey = (typeof adjustableKeys)[number]

/** A serving container as inspect shows it. */
export type Adjusted = SeenContainer & {
  adjustable: Partial<Record<AdjustableKey, number | string>>
  /** Networks that it is connected to, by name. */
  networks: string[]
}

type Words = { name: string; show: (value: number | string) => string; none: string }

const words: Record<AdjustableKey, Words> = {
  Memory: { name: 'memory limit', show: (value) => bytes(value), none: 'unlimited' },
  MemoryReservation: { name: 'memory reservation', show: (value) => bytes(value), none: 'none' },
  MemorySwap: { name: 'limit of memory and swap', show: (value) => bytes(value), none: 'unlimited' },
  NanoCpus: { name: 'CPU limit', show: (value) => `${Number(value) / 1e9} cores`, none: 'unlimited' },
  CpuShares: { name: 'CPU shares', show: String, none: 'the default' },
  CpuPeriod: { name: 'CPU period', show: String, none: 'the default' },
  CpuQuota: { name: 'CPU quota', show: String, none: 'unlimited' },
  CpusetCpus: { name: 'set of CPUs', show: String, none: 'all' },
  CpusetMems: { name: 'set of memory nodes', show: String, none: 'all' },
  PidsLimit: { name: 'limit of processes', show: String, none: 'unlimited' },
  BlkioWeight: { name: 'weight of block I/O', show: String, none: 'the default' }
}

const mebibyte = 1024 * 1024

const bytes = (value: number | string): string => {
  const size = Number(value)
  return size % mebibyte === 0 ? `${size / mebibyte} MiB` : `${size} bytes`
}

/**
 * @param record of the release that the container belongs to; undefined: the journal does not have it
 * @returns differences in words, as in `memory limit is 64 MiB, not unlimited`; none for a container that is down,
 *   which the agent may have stopped and renamed itself
 */
export const changesByHand = (look: Adjusted, record: ReleaseRecord | undefined): string[] => {
  if (!isUp(look) || look.owner === null || look.owner.purpose !== 'serving') return []
  const { owner } = look
  const made = record?.containers.find((one) => one.index === owner.index)
  const changes = [
    ...restartChanges(look.restart, made?.restart ?? owner.restart),
    ...(made === undefined || record === undefined
      ? []
      : [
          ...resourceChanges(look, made.request.body),
          ...nameChanges(look.name, owner, record),
          ...networkChanges(look.networks, made.request)
        ])
  ]
  return changes.slice(0, limits.maxContainerChanges).map((one) => one.slice(0, 300))
}

const restartChanges = (is: RestartPolicy, should: RestartPolicy | null): string[] =>
  should === null || writeRestart(is) === writeRestart(should)
    ? []
    : [`restart policy is ${writeRestart(is)}, not ${writeRestart(should)}`]

/** Docker's ways to say that there is no limit. */
const isNone = (value: number | string | undefined): boolean =>
  value === undefined || value === 0 || value === -1 || value === ''

const resourceChanges = (look: Adjusted, body: { [key: string]: unknown }): string[] => {
  const asked = asRecord(body['HostConfig'])
  return adjustableKeys.flatMap((key) => {
    const is = look.adjustable[key]
    const should = asked[key] as number | string | undefined
    // With a limit of memory alone, Docker itself sets that of memory and swap to twice as much.
    const isDerived = key === 'MemorySwap' && should === undefined
    if (is === undefined || isNone(is) || isDerived || is === should) return []
    const { name, show, none } = words[key]
    return [`${name} is ${show(is)}, not ${should === undefined || isNone(should) ? none : show(should)}`]
  })
}

const nameChanges = (
  name: string,
  owner: NonNullable<SeenContainer['owner']>,
  { containerName }: ReleaseRecord
): string[] => {
  const own = `${owner.service}-r${owner.release}-${owner.index}`
  const should = owner.index === 0 && containerName !== null ? containerName : own
  // A number is added when the plain name was taken.
  const isOurs = name === should || (should === own && name.startsWith(`${own}-`))
  return isOurs ? [] : [`name is ${name}, not ${should}`]
}

const networkChanges = (
  are: readonly string[],
  request: ReleaseRecord['containers'][number]['request']
): string[] => {
  const { body, joins } = request
  const mode = asRecord(body['HostConfig'])['NetworkMode']
  const isShared = mode === 'host' || mode === 'none' || String(mode).startsWith('container:')
  if (isShared) return []
  const endpoints = Object.keys(asRecord(asRecord(body['NetworkingConfig'])['EndpointsConfig']))
  const first =
    endpoints.length > 0 ? endpoints : [mode === undefined || mode === 'default' ? 'bridge' : String(mode)]
  const should = [...first, ...joins.map(({ network }) => network)]
  return [
    ...should.filter((one) => !are.includes(one)).map((one) => `is not connected to the network ${one}`),
    ...are.filter((one) => !should.includes(one)).map((one) => `is also connected to the network ${one}`)
  ]
}

const asRecord = (value: unknown): { [key: string]: unknown } =>
  typeof value === 'object' && value !== null ? { ...value } : {}
