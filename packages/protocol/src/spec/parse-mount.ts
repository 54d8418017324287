// Mounts and devices in the short form: `data:/var/lib/data:ro`, `/etc/x:/etc/x`, `/dev/ttyS0:/dev/tty:rw`.
import { ValueError } from './read-value.ts'
import type { ServiceSpec, VolumeSpec } from './service-spec.ts'

const propagations = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'] as const
const volumeName = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/

type Options = { -readonly [key in 'propagation' | 'selinux' | 'noCopy']?: VolumeSpec[key] } & {
  isReadOnly: boolean
}

/** A source that is a path of the host and not the name of a volume. */
export const isHostPath = (source: string): boolean =>
  /^[./~\\]/.test(source) || /^[A-Za-z]:[\\/]/.test(source)

/** The file is applied from another machine than the hosts: only absolute paths mean the same on both. */
export const checkHostPath = (source: string): string => {
  if (source.startsWith('/')) return source
  throw new ValueError('a bind mount needs an absolute path of the host', 'relative-path')
}

export const checkVolumeName = (name: string): string => {
  if (volumeName.test(name)) return name
  throw new ValueError('expected the name of a volume or an absolute path of the host')
}

export const checkTarget = (target: string): string => {
  if (target.startsWith('/')) return target
  throw new ValueError('the path in the container must be absolute')
}

/** @throws ValueError */
export const parseVolume = (text: string): VolumeSpec => {
  const parts = text.split(':')
  if (parts.some((part) => part === '')) throw new ValueError('an empty part between colons')
  if (parts.length > 3) throw new ValueError('expected SOURCE:TARGET:OPTIONS')
  const [first = '', target, options] = parts
  if (target === undefined) {
    return { type: 'volume', source: null, target: checkTarget(first), isReadOnly: false }
  }
  const common = { target: checkTarget(target), ...parseOptions(options ?? 'rw') }
  if (!isHostPath(first)) return { type: 'volume', source: checkVolumeName(first), ...common }
  // As in Compose, only the short form makes a missing folder on the host.
  return { type: 'bind', source: checkHostPath(first), ...common, createHostPath: true }
}

const parseOptions = (text: string): Options => {
  const options: Options = { isReadOnly: false }
  for (const option of text.split(',')) {
    const propagation = propagations.find((name) => name === option)
    if (option === 'ro') options.isReadOnly = true
    else if (option === 'rw') options.isReadOnly = false
    else if (option === 'nocopy') options.noCopy = true
    else if (option === 'z' || option === 'Z') options.selinux = option
    else if (propagation !== undefined) options.propagation = propagation
    else throw new ValueError('mount options are ro, rw, z, Z, nocopy and the propagation modes')
  }
  return options
}

/** `/dev/a`, `/dev/a:/dev/b`, `/dev/a:/dev/b:rw`. @throws ValueError */
export const parseDevice = (text: string): ServiceSpec['devices'][number] => {
  const [source = '', second, third, ...more] = text.split(':')
  const isPermissions = second !== undefined && third === undefined && /^[rwm]{1,3}$/.test(second)
  const target = second === undefined || isPermissions ? source : second
  const permissions = isPermissions ? second : (third ?? 'rwm')
  if (more.length > 0 || !source.startsWith('/') || !target.startsWith('/')) {
    throw new ValueError('expected a device like /dev/ttyUSB0:/dev/tty0:rwm')
  }
  if (!/^[rwm]{1,3}$/.test(permissions))
    throw new ValueError('permissions of a device are made of r, w and m')
  return { source, target, permissions }
}
