// May this host do what a command asks? The host's policy file has the last word. Pure: the file is read and
// watched by the adapter; this decides. No file allows everything; an unreadable one allows nothing.
import type { CommandBody, ServiceName, ServiceSpec } from '@longshore/protocol'
import * as z from 'zod'

const pattern = z.string().min(1).max(512)
const portRange = z.union([z.int().min(1).max(65_535), z.string().regex(/^\d{1,5}-\d{1,5}$/)])

/** The policy file. Repositories and services may end in `*`; a list that is left out allows everything. */
export const hostPolicy = z.strictObject({
  repositories: z.array(pattern).max(500).optional(),
  services: z.array(pattern).max(500).optional(),
  allow: z
    .strictObject({
      privileged: z.boolean().default(false),
      host_network: z.boolean().default(false),
      /** Prefixes of host paths, whole path segments: `/srv/data` allows `/srv/data/x`, not `/srv/data2`. */
      bind_mounts: z.array(z.string().startsWith('/')).max(100).default([]),
      devices: z.array(pattern).max(100).default([]),
      cap_add: z.array(pattern).max(100).default([]),
      /** Names of containers that Longshore did not make and may take over. */
      replace: z.array(pattern).max(100).default([]),
      gpus: z.boolean().default(false),
      /** Runtimes beside the engine's default. */
      runtime: z.array(pattern).max(100).default([]),
      /** Parents of the container's control group beside the engine's default. */
      cgroup_parent: z.array(pattern).max(100).default([]),
      /** Prefixes of host paths, as for bind mounts: HAProxy reads certificates and keys there, with root's rights. */
      tls_files: z.array(z.string().startsWith('/')).max(100).default([]),
      /** Images from the controller's own store, where `repositories` names what else may run. */
      artifacts: z.boolean().default(false),
      /** The agent may become another version of itself: whoever decides on its program decides on all of the host. */
      upgrade: z.boolean().default(false),
      /** What containers of its services write may be read; unlike the others allowed unless it says no. */
      logs: z.boolean().default(true)
    })
    .prefault({}),
  /** Host ports that may be published, single or `from-to`. */
  ports: z.array(portRange).max(500).optional()
})
export type HostPolicy = z.infer<typeof hostPolicy>

export type PolicyState =
  | { kind: 'absent' }
  | { kind: 'active'; policy: HostPolicy }
  | { kind: 'invalid'; detail: string }

/** @returns why the host refuses, in words for people; null: it may be done */
export const checkPolicy = (state: PolicyState, service: ServiceName, body: CommandBody): string | null => {
  switch (state.kind) {
    case 'absent':
      return null
    case 'invalid':
      return unusable(state.detail)
    case 'active':
      return firstRefusal(state.policy, service, body)
    default:
      return state satisfies never
  }
}

/** @returns as `checkPolicy`, for reading the log of a service */
export const checkLogs = (state: PolicyState): string | null => {
  if (state.kind === 'invalid') return unusable(state.detail)
  return state.kind === 'active' && !state.policy.allow.logs ? says('reading logs (allow: logs)') : null
}

const unusable = (detail: string): string =>
  `the policy file of this host cannot be used, so everything is refused: ${detail}`

const firstRefusal = (policy: HostPolicy, service: ServiceName, body: CommandBody): string | null => {
  const isOwn = body.kind === 'upgrade'
  if (isOwn && !policy.allow.upgrade) return says('upgrades of its agent (allow: upgrade)')
  if (!isOwn && policy.services !== undefined && !policy.services.some((one) => matches(one, service)))
    return says(`the service ${service}`)
  const repository = 'image' in body ? body.image.repository : null
  if (repository !== null && policy.repositories !== undefined)
    if (!policy.repositories.some((one) => matchesRepository(one, repository)))
      return says(`the repository ${repository}`)
  if (!('spec' in body)) return null
  const replace = 'replace' in body ? body.replace : null
  return (
    refuseReplace(policy.allow, replace) ??
    refuseRights(policy.allow, body.spec) ??
    refuseMachine(policy.allow, body.spec) ??
    refusePorts(policy.ports, body.spec)
  )
}

export const says = (what: string): string => `the policy of this host does not allow ${what}`

/** To take a container over is to stop what somebody else started. */
const refuseReplace = (allow: HostPolicy['allow'], name: string | null): string | null =>
  name === null || allow.replace.some((one) => matches(one, name))
    ? null
    : says(`taking over the container ${name}`)

/** What gives a container a part of the machine, or another keeper, than the engine gives by itself. */
const refuseMachine = (allow: HostPolicy['allow'], spec: ServiceSpec): string | null => {
  const { runtime, cgroupParent } = spec
  if (spec.gpus !== null && !allow.gpus) return says('gpus')
  if (runtime !== null && !allow.runtime.some((one) => matches(one, runtime)))
    return says(`the runtime ${runtime}`)
  if (cgroupParent === null) return null
  const isAllowed = !hasWayOut(cgroupParent) && allow.cgroup_parent.some((one) => matches(one, cgroupParent))
  return isAllowed ? null : says(`the cgroup_parent ${cgroupParent}`)
}

const refuseRights = (allow: HostPolicy['allow'], spec: ServiceSpec): string | null => {
  if (spec.isPrivileged && !allow.privileged) return says('privileged containers')
  const networks = [spec.networkMode, ...spec.networks.map(({ name }) => name)]
  if (networks.includes('host') && !allow.host_network) return says("the host's network")
  const shared = networks.find(isOfContainer)
  if (shared != null && !allow.host_network)
    return says(`the network of another container, which may be the host's (${shared})`)
  if (!allow.privileged) {
    if (spec.pid === 'host' || spec.ipc === 'host')
      return says("the host's processes or memory (pid or ipc: host needs privileged)")
    const loosened = findLoosened(spec)
    if (loosened !== undefined) return says(`${loosened}, which needs privileged`)
  }
  const mount = spec.volumes.find((one) => one.type === 'bind' && !isBelowAny(allow.bind_mounts, one.source))
  if (mount !== undefined) return says(`the bind mount ${mount.source}`)
  const files = spec.routing?.tls.flatMap(({ certificate, key }) => [certificate, key ?? certificate]) ?? []
  const file = files.find((one) => !isBelowAny(allow.tls_files, one))
  if (file !== undefined) return says(`the TLS file ${file}`)
  const device = spec.devices.find(
    ({ source }) => hasWayOut(source) || !allow.devices.some((pattern) => matches(pattern, source))
  )
  if (device !== undefined) return says(`the device ${device.source}`)
  const capability = spec.capAdd.find((one) => !allow.cap_add.some((name) => isSameCapability(name, one)))
  return capability === undefined ? null : says(`the capability ${capability}`)
}

/** A namespace of Docker's form `container:NAME`; whose that is, the policy cannot see. */
const isOfContainer = (mode: string | null): boolean => mode?.startsWith('container:') === true

/** Tightens whatever else is set; of other options, profiles for example, nobody knows here what they allow. */
const tightening = /^no-new-privileges(?:[:=]true)?$/

/** @returns what of the spec takes away from the isolation that every container has, short of privileged */
const findLoosened = (spec: ServiceSpec): string | undefined => {
  if (spec.usernsMode === 'host') return 'userns_mode: host'
  if (isOfContainer(spec.pid)) return `pid: ${spec.pid}`
  if (isOfContainer(spec.ipc)) return `ipc: ${spec.ipc}`
  const option = spec.securityOpt.find((one) => !tightening.test(one))
  return option === undefined ? undefined : `security_opt: ${option}`
}

const refusePorts = (ports: HostPolicy['ports'], spec: ServiceSpec): string | null => {
  if (ports === undefined) return null
  const refused = spec.ports.find(
    (one) => one.published !== null && !ports.some((r) => isIn(r, one.published))
  )
  return refused === undefined ? null : says(`the port ${refused.published}`)
}

const matches = (pattern: string, text: string): boolean =>
  pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : pattern === text

/** What follows a pattern without a slash is no longer that registry or name: `registry.test*` is not `registry.test.evil/`. */
export const matchesRepository = (pattern: string, repository: string): boolean =>
  matches(pattern, repository) && (pattern === '*' || pattern.includes('/') || !repository.includes('/'))

const hasWayOut = (path: string): boolean => path.split('/').includes('..')

/** `..` is refused rather than resolved: the engine resolves symbolic links, this cannot. */
const isBelowAny = (prefixes: readonly string[], path: string | null): boolean => {
  if (path === null || hasWayOut(path)) return false
  const below = `${path.replace(/\/+/g, '/').replace(/\/$/, '')}/`
  return prefixes.some((prefix) => below.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`))
}

const isSameCapability = (a: string, b: string): boolean => {
  const bare = (name: string) => name.toUpperCase().replace(/^CAP_/, '')
  return bare(a) === bare(b)
}

const isIn = (range: number | string, port: number | null): boolean => {
  if (port === null) return false
  if (typeof range === 'number') return range === port
  const [from, to] = range.split('-').map(Number)
  return from !== undefined && to !== undefined && port >= from && port <= to
}
