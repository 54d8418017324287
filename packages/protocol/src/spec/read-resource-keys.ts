// Keys of a service about limits of the kernel: memory, processors, processes, ulimits.

import { parseBytes } from './parse-units.ts'
import { readDeviceRequests } from './read-storage-keys.ts'
import {
  type Cursor,
  childrenOf,
  complain,
  fieldsOf,
  parseWith,
  readInteger,
  readNumber
} from './read-value.ts'
import type { ServiceSpec } from './service-spec.ts'

export const ulimitKeys = ['soft', 'hard'] as const
export const resourcesKeys = ['limits', 'reservations'] as const
export const limitKeys = ['cpus', 'memory', 'pids'] as const
export const reservationKeys = ['memory', 'devices'] as const

const maxUlimit = Number.MAX_SAFE_INTEGER

export const readUlimits = (cursor: Cursor): ServiceSpec['ulimits'] => {
  const ulimits: ServiceSpec['ulimits'] = {}
  if (cursor.node.kind !== 'map') fieldsOf(cursor, [])
  for (const [name, child] of childrenOf(cursor)) {
    if (!/^[a-z]+$/.test(name)) {
      complain(child, 'expected the name of a limit like nofile')
      continue
    }
    if (child.node.kind !== 'map') {
      const both = readInteger(child, { min: -1, max: maxUlimit })
      ulimits[name] = { soft: both, hard: both }
      continue
    }
    const { soft, hard } = fieldsOf(child, ulimitKeys)
    if (soft === undefined || hard === undefined) complain(child, 'needs both soft and hard', 'missing-key')
    else {
      ulimits[name] = {
        soft: readInteger(soft, { min: -1, max: maxUlimit }),
        hard: readInteger(hard, { min: -1, max: maxUlimit })
      }
    }
  }
  return ulimits
}

/** Cores -> Docker's NanoCpus. */
export const readCpus = (cursor: Cursor): number =>
  Math.round(readNumber(cursor, { min: 0, max: 4096 }) * 1e9)

export const readPids = (cursor: Cursor): number => readInteger(cursor, { min: -1, max: 4_194_304 })

export const readBytes = (cursor: Cursor): number => parseWith(cursor, parseBytes, 0)

type ResourceField = 'nanoCpus' | 'memoryLimitBytes' | 'pidsLimit' | 'memoryReservationBytes' | 'gpus'

/** `deploy.resources`: the same settings as cpus, mem_limit, pids_limit, mem_reservation and gpus. */
export const readResources = (cursor: Cursor): Partial<Pick<ServiceSpec, ResourceField>> => {
  const { limits, reservations } = fieldsOf(cursor, resourcesKeys)
  const limit = limits === undefined ? {} : fieldsOf(limits, limitKeys)
  const reserved =
    reservations === undefined
      ? {}
      : fieldsOf(reservations, reservationKeys, {
          cpus: 'Docker cannot reserve processors for a container',
          generic_resources: 'generic resources belong to swarm'
        })
  return {
    ...(limit.cpus && { nanoCpus: readCpus(limit.cpus) }),
    ...(limit.memory && { memoryLimitBytes: readBytes(limit.memory) }),
    ...(limit.pids && { pidsLimit: readPids(limit.pids) }),
    ...(reserved.memory && { memoryReservationBytes: readBytes(reserved.memory) }),
    ...(reserved.devices && { gpus: readDeviceRequests(reserved.devices) })
  }
}
