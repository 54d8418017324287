// Volumes and tmpfs of a spec in Docker's two forms: Binds and Mounts.
import type { ServiceSpec, VolumeSpec } from '@longshore/protocol'

export type MountConfig = {
  readonly Binds?: readonly string[]
  readonly Mounts?: readonly object[]
  readonly Tmpfs?: Readonly<Record<string, string>>
}

export const mountsOf = (spec: ServiceSpec): MountConfig => {
  const binds = spec.volumes.filter(needsBindForm).map(bindText)
  const mounts = spec.volumes.filter((volume) => !needsBindForm(volume)).map(mountOf)
  return {
    ...(binds.length > 0 && { Binds: binds }),
    ...(mounts.length > 0 && { Mounts: mounts }),
    ...(Object.keys(spec.tmpfs).length > 0 && { Tmpfs: spec.tmpfs })
  }
}

/**
 * Only `Binds` makes a missing host folder in every API version (`CreateMountpoint` needs 1.42), and only it
 * relabels for SELinux. Its parts are split at colons, so a path that has one cannot be written so.
 */
const needsBindForm = (volume: VolumeSpec): boolean =>
  volume.type === 'bind' &&
  (volume.createHostPath === true || volume.selinux !== undefined) &&
  !`${volume.source ?? ''}${volume.target}`.includes(':')

const bindText = (volume: VolumeSpec): string => {
  const options = [volume.isReadOnly ? 'ro' : 'rw', volume.selinux, volume.propagation]
  return [volume.source, volume.target, options.filter((option) => option !== undefined).join(',')].join(':')
}

const mountOf = (volume: VolumeSpec): object => ({
  Type: volume.type,
  ...(volume.source !== null && { Source: volume.source }),
  Target: volume.target,
  ReadOnly: volume.isReadOnly,
  ...(volume.propagation && { BindOptions: { Propagation: volume.propagation } }),
  ...(volume.noCopy !== undefined && { VolumeOptions: { NoCopy: volume.noCopy } }),
  ...(volume.type === 'tmpfs' && {
    TmpfsOptions: {
      ...(volume.tmpfsSizeBytes !== undefined && { SizeBytes: volume.tmpfsSizeBytes }),
      ...(volume.tmpfsMode !== undefined && { Mode: volume.tmpfsMode })
    }
  })
})
