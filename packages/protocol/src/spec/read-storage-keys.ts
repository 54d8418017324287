// Keys of a service about mounts and devices.
import { checkHostPath, checkTarget, checkVolumeName, parseDevice, parseVolume } from './parse-mount.ts'
import { parseBytes } from './parse-units.ts'
import {
  type Cursor,
  complain,
  fieldsOf,
  itemsOf,
  itemsOrOne,
  parseWith,
  readBoolean,
  readInteger,
  readOneOf,
  readSource,
  readText,
  readTexts,
  ValueError
} from './read-value.ts'
import type { ServiceSpec, VolumeSpec } from './service-spec.ts'

export const volumeKeys = ['type', 'source', 'target', 'read_only', 'bind', 'volume', 'tmpfs'] as const
export const bindKeys = ['propagation', 'create_host_path', 'selinux'] as const
export const volumeOptionKeys = ['nocopy'] as const
export const tmpfsKeys = ['size', 'mode'] as const
export const deviceKeys = ['source', 'target', 'permissions'] as const
export const gpuKeys = ['driver', 'count', 'device_ids', 'capabilities'] as const

/**
 * One mount per target, the last one wins.
 * @param names name on the host, by the key of the top-level `volumes`
 */
export const readVolumes = (cursor: Cursor, names: ReadonlyMap<string, string>): VolumeSpec[] => {
  const volumes = new Map<string, VolumeSpec>()
  for (const item of itemsOf(cursor)) {
    const volume = item.node.kind === 'map' ? readLongVolume(item) : parseWith(item, parseVolume, undefined)
    if (volume === undefined) continue
    const source = volume.type === 'volume' && volume.source !== null ? names.get(volume.source) : undefined
    volumes.set(volume.target, source === undefined ? volume : { ...volume, source })
  }
  return [...volumes.values()]
}

const readLongVolume = (cursor: Cursor): VolumeSpec | undefined => {
  const fields = fieldsOf(cursor, volumeKeys, { consistency: 'consistency has no effect on Linux' })
  if (fields.type === undefined || fields.target === undefined) {
    complain(cursor, 'a mount needs a type and a target', 'missing-key')
    return undefined
  }
  const type = readOneOf(fields.type, ['volume', 'bind', 'tmpfs'])
  const bind = optionsFor(fields.bind, type === 'bind', bindKeys, {})
  const volume = optionsFor(fields.volume, type === 'volume', volumeOptionKeys, {
    subpath: 'a part of a volume cannot be mounted',
    labels: 'labels of volumes are not supported'
  })
  const tmpfs = optionsFor(fields.tmpfs, type === 'tmpfs', tmpfsKeys, {})
  return {
    type,
    source: readVolumeSource(cursor, fields.source, type),
    target: parseWith(fields.target, checkTarget, '/'),
    isReadOnly: fields.read_only !== undefined && readBoolean(fields.read_only),
    ...(type === 'bind' && {
      createHostPath: bind.create_host_path !== undefined && readBoolean(bind.create_host_path)
    }),
    ...(bind.propagation && {
      propagation: readOneOf(bind.propagation, [
        'private',
        'rprivate',
        'shared',
        'rshared',
        'slave',
        'rslave'
      ])
    }),
    ...(bind.selinux && { selinux: readOneOf(bind.selinux, ['z', 'Z']) }),
    ...(volume.nocopy && { noCopy: readBoolean(volume.nocopy) }),
    ...(tmpfs.size && { tmpfsSizeBytes: parseWith(tmpfs.size, parseBytes, 0) }),
    ...(tmpfs.mode && { tmpfsMode: readMode(tmpfs.mode) })
  }
}

const optionsFor = <K extends string>(
  cursor: Cursor | undefined,
  isAllowed: boolean,
  keys: readonly K[],
  refused: Readonly<Record<string, string>>
): { readonly [key in K]?: Cursor } => {
  if (cursor === undefined) return {}
  if (!isAllowed) complain(cursor, 'these options belong to another type of mount', 'conflict')
  return fieldsOf(cursor, keys, refused)
}

const readVolumeSource = (
  cursor: Cursor,
  source: Cursor | undefined,
  type: VolumeSpec['type']
): string | null => {
  if (source === undefined) {
    if (type === 'bind') complain(cursor, 'a bind mount needs a source', 'missing-key')
    return null
  }
  if (type === 'tmpfs') {
    complain(source, 'a tmpfs has no source', 'conflict')
    return null
  }
  return parseWith(source, type === 'bind' ? checkHostPath : checkVolumeName, '')
}

/** `0755`, `0o755` and `"0755"` are octal, as in Compose; `493` is decimal. */
const readMode = (cursor: Cursor): number => {
  const match = /^0o?([0-7]{1,5})$/.exec(readSource(cursor))
  return match === null ? readInteger(cursor, { min: 0, max: 0o7777 }) : Number.parseInt(match[1] ?? '', 8)
}

/** `/run`, `/run:size=64m,mode=1777`. */
export const readTmpfs = (cursor: Cursor): Record<string, string> => {
  const mounts: Record<string, string> = {}
  for (const item of itemsOrOne(cursor)) {
    const text = readText(item)
    const cut = text.indexOf(':')
    const path = cut < 0 ? text : text.slice(0, cut)
    if (path.startsWith('/')) mounts[path] = cut < 0 ? '' : text.slice(cut + 1)
    else complain(item, 'expected an absolute path in the container, for example /run:size=64m')
  }
  return mounts
}

export const readDevices = (cursor: Cursor): ServiceSpec['devices'] => {
  const devices = new Map<string, ServiceSpec['devices'][number]>()
  for (const item of itemsOf(cursor)) {
    const text = item.node.kind === 'map' ? longDevice(item) : undefined
    const device = text === undefined ? parseWith(item, parseDevice, undefined) : parseJoined(item, text)
    if (device !== undefined) devices.set(device.target, device)
  }
  return [...devices.values()]
}

/** The long form, written as the short one, so that both are checked by the same rule. */
const longDevice = (cursor: Cursor): string => {
  const { source, target, permissions } = fieldsOf(cursor, deviceKeys)
  if (source === undefined) complain(cursor, 'a device needs a source', 'missing-key')
  const from = source === undefined ? '/dev/null' : readText(source)
  return [
    from,
    target === undefined ? from : readText(target),
    permissions === undefined ? 'rwm' : readText(permissions)
  ].join(':')
}

const parseJoined = (cursor: Cursor, text: string): ServiceSpec['devices'][number] | undefined => {
  try {
    return parseDevice(text)
  } catch (error) {
    if (!(error instanceof ValueError)) throw error
    complain(cursor, error.message, error.code)
    return undefined
  }
}

/** `gpus: all`, or one entry with a count or ids. */
export const readGpus = (cursor: Cursor): ServiceSpec['gpus'] => {
  if (cursor.node.kind === 'scalar') return readOneOf(cursor, ['all'])
  return readDeviceRequests(cursor)
}

/** The list under `gpus` and `deploy.resources.reservations.devices`. The same entry twice, as after a merge, is one. */
export const readDeviceRequests = (cursor: Cursor): ServiceSpec['gpus'] => {
  const requests = new Map<string, ServiceSpec['gpus']>()
  for (const item of itemsOf(cursor)) {
    const request = readDeviceRequest(item)
    requests.set(JSON.stringify(request), request)
  }
  if (requests.size > 1) complain(cursor, 'only one entry of GPUs is supported', 'not-supported')
  const [request = null] = requests.values()
  return request
}

const readDeviceRequest = (cursor: Cursor): ServiceSpec['gpus'] => {
  const fields = fieldsOf(cursor, gpuKeys, { options: 'options of a device driver are not supported' })
  if (fields.driver !== undefined) readOneOf(fields.driver, ['nvidia'])
  const capabilities = fields.capabilities === undefined ? ['gpu'] : readTexts(fields.capabilities)
  if (capabilities.join() !== 'gpu') complain(cursor, 'the only capability is gpu', 'not-supported')
  if (fields.count !== undefined && fields.device_ids !== undefined) {
    complain(cursor, 'count and device_ids exclude each other', 'conflict')
  }
  if (fields.device_ids !== undefined) return readTexts(fields.device_ids)
  if (fields.count === undefined || readText(fields.count) === 'all') return 'all'
  return readInteger(fields.count, { min: 1, max: 1000 })
}
