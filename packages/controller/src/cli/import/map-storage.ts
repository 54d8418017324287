// docker run's options about mounts, devices and GPUs -> keys of a service. Whether the values are right is left to the
// reader of service files.
import {
  type Given,
  isUncertainPath,
  numberOrText,
  readBoolean,
  refuseValue,
  type ServiceDraft
} from './service-draft.ts'
import { splitAt, splitFields, splitPair } from './value-text.ts'

const absolute = 'write the absolute path of the host under volumes'
const asTheyAre = 'volumes are used as they are; make it on the hosts with these options, unless it is there'
/** Words of Docker Desktop; on Linux they change nothing. */
const desktopOptions = new Set(['consistent', 'cached', 'delegated', 'default'])

export const mapVolume = (draft: ServiceDraft, given: Given): void => {
  const [source = '', target, options, ...more] = splitAt(':', given.value)
  if (target === undefined) {
    draft.push('volumes', source, given)
    return
  }
  if (isUncertainPath(source)) {
    draft.leaveOut(given, absolute)
    return
  }
  if (!source.includes('/') && !source.includes('$')) draft.volumes.add(source)
  const asked = options?.split(',') ?? []
  const kept = asked.filter((option) => !desktopOptions.has(option))
  for (const option of asked) if (!kept.includes(option)) draft.idle.add(`${given.option} ...:${option}`)
  const parts = [source, target, ...(kept.length > 0 ? [kept.join(',')] : []), ...more]
  draft.push('volumes', parts.join(':'), given)
}

type Fields = Map<string, string | undefined>

export const mapMount = (draft: ServiceDraft, given: Given): void => {
  const fields = readFields(given)
  const type = fields.get('type') ?? 'volume'
  const source = take(fields, 'source', 'src')
  const target = take(fields, 'target', 'destination', 'dst')
  fields.delete('type')
  if (type !== 'bind' && type !== 'volume' && type !== 'tmpfs') {
    draft.leaveOut(given, `mounts are of type bind, volume or tmpfs, not ${type}`)
    return
  }
  if (fields.has('volume-subpath')) {
    draft.leaveOut(given, 'a part of a volume cannot be mounted')
    return
  }
  if (type === 'bind' && source !== undefined && isUncertainPath(source)) {
    draft.leaveOut(given, absolute)
    return
  }
  if (target === undefined) throw refuseValue(given, 'a mount needs a target')
  const isReadOnly = [isTrue(given, fields, 'readonly'), isTrue(given, fields, 'ro')].includes(true)
  const bind = bindOf(draft, given, fields)
  const volume = isTrue(given, fields, 'volume-nocopy') ? { nocopy: true } : undefined
  const tmpfs = tmpfsOf(fields)
  nameOthers(draft, given, fields)
  if (type === 'volume' && source !== undefined && !source.includes('$')) draft.volumes.add(source)
  const mount = {
    type,
    ...(source !== undefined && { source }),
    target,
    ...(isReadOnly && { read_only: true }),
    ...(bind && { bind }),
    ...(volume && { volume }),
    ...(tmpfs && { tmpfs })
  }
  draft.push('volumes', mount, given)
}

const readFields = (given: Given): Fields => {
  const fields = splitFields(given.value)?.map(splitPair)
  if (fields === undefined) throw refuseValue(given, 'a quote is not closed')
  return new Map(fields.map(([name, value]) => [name.trim().toLowerCase(), value]))
}

const take = (fields: Fields, ...names: string[]): string | undefined => {
  const found = names.map((name) => fields.get(name)).find((value) => value !== undefined)
  for (const name of names) fields.delete(name)
  return found
}

const isTrue = (given: Given, fields: Fields, name: string): boolean => {
  const value = fields.has(name) ? (fields.get(name) ?? 'true') : 'false'
  fields.delete(name)
  const isGiven = readBoolean(value)
  if (isGiven === undefined) throw refuseValue(given, `${name} is true or false`)
  return isGiven
}

const bindOf = (draft: ServiceDraft, given: Given, fields: Fields): object | undefined => {
  const propagation = take(fields, 'bind-propagation')
  const isMade = isTrue(given, fields, 'bind-create-src')
  const recursive = take(fields, 'bind-recursive')
  if (isTrue(given, fields, 'bind-nonrecursive') || (recursive !== undefined && recursive !== 'enabled'))
    draft.leaveOut(
      given,
      'mounts below the source are always mounted too, with the same rights as far as the kernel can',
      `${given.option} ...bind-recursive`
    )
  if (propagation === undefined && !isMade) return undefined
  return { ...(propagation !== undefined && { propagation }), ...(isMade && { create_host_path: true }) }
}

/** docker run reads the mode as octal, with or without a leading 0. */
const tmpfsOf = (fields: Fields): object | undefined => {
  const size = take(fields, 'tmpfs-size')
  const mode = take(fields, 'tmpfs-mode')
  if (size === undefined && mode === undefined) return undefined
  return {
    ...(size !== undefined && { size: numberOrText(size) }),
    ...(mode !== undefined && { mode: `0${mode.replace(/^0+/, '')}` })
  }
}

const nameOthers = (draft: ServiceDraft, given: Given, fields: Fields): void => {
  for (const [name, value] of fields) {
    const what = `${given.option} ...${name}${value === undefined ? '' : `=${value}`}`
    if (name === 'consistency') draft.idle.add(`${given.option} ...${name}`)
    else if (name === 'volume-driver' && value === 'local') continue
    else if (/^volume-(?:driver|opt|label)$/.test(name)) draft.leaveOut(given, asTheyAre, what)
    else throw refuseValue(given, `${name} is no field of a mount`)
  }
}

export const mapVolumeDriver = (draft: ServiceDraft, given: Given): void => {
  if (given.value !== 'local') draft.leaveOut(given, asTheyAre)
}

/** `vendor.example.com/class=name` is a device of CDI. */
export const mapDevice = (draft: ServiceDraft, given: Given): void => {
  if (given.value.startsWith('/')) draft.push('devices', given.value, given)
  else draft.leaveOut(given, 'devices are named by their path; GPUs by gpus')
}

/** `all`, `2`, `device=0`, `"device=0,1",capabilities=gpu`. */
export const mapGpus = (draft: ServiceDraft, given: Given): void => {
  const fields = splitFields(given.value)
  if (fields === undefined) throw refuseValue(given, 'a quote is not closed')
  const asked: { [key: string]: unknown } = {}
  for (const field of fields) {
    const [name, value] = splitPair(field)
    if (value === undefined || name === 'count') asked['count'] = numberOrText(value ?? name)
    else if (name === 'device') asked['device_ids'] = value.split(',')
    else if (name !== 'capabilities' || value !== 'gpu')
      draft.leaveOut(given, 'a GPU is asked for with the capability gpu and no options', `--gpus ...${field}`)
  }
  if (asked['count'] === -1) asked['count'] = 'all'
  const isAll = Object.keys(asked).length === 0 || (asked['count'] === 'all' && !('device_ids' in asked))
  draft.set('gpus', isAll ? 'all' : [asked], given)
}
