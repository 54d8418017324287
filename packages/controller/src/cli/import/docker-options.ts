// Every option of docker run (Docker CLI 28, and those that older ones had): what becomes of it in a service file. One
// of three things: keys of the service, a part that is left out and said with what to do about it, or nothing, because
// it concerns one call of docker run.
// Source: https://docs.docker.com/reference/cli/docker/container/run/

import { isIP } from 'node:net'
import { addressAdvice, mapExpose, mapNetwork, mapPublish } from './map-network.ts'
import { mapDevice, mapGpus, mapMount, mapVolume, mapVolumeDriver } from './map-storage.ts'
import { type Given, numberOrText, refuseValue, type ServiceDraft } from './service-draft.ts'
import { hasVariable, literalOf, splitPair } from './value-text.ts'

type Read = (draft: ServiceDraft, given: Given) => void
export type DockerOption = {
  /** It stands alone; a value needs a `=`. */
  isFlag: boolean
  /** For flags called with `true` or `false`. */
  read: Read
}

const option = (read: Read): DockerOption => ({ isFlag: false, read })
/** @param whenFalse what `--NAME=false` says; nothing else than its absence unless given */
const flag = (whenTrue: Read, whenFalse: Read = () => {}): DockerOption => ({
  isFlag: true,
  read: (draft, given) => (given.value === 'true' ? whenTrue : whenFalse)(draft, { ...given, value: '' })
})

const text = (...path: string[]) => option((draft, given) => draft.set(path, given.value, given))
const number = (...path: string[]) =>
  option((draft, given) => draft.set(path, numberOrText(given.value), given))
const item = (key: string) => option((draft, given) => draft.push(key, given.value, given))
const named = (...path: string[]) => option((draft, given) => draft.put(path, given))
const mark = (...path: string[]) => flag((draft, given) => draft.set(path, true, given))
const leftOut = (advice: string) => option((draft, given) => draft.leaveOut(given, advice))
const idle: Read = (draft, given) => {
  draft.idle.add(given.option)
}

const blockIo = 'block I/O cannot be limited'
const cpuTime = 'limit processors by cpus, quota divided by period'
const windows = 'of Windows only'

const entrypoint: Read = (draft, given) =>
  draft.set('entrypoint', given.value === '' ? [] : [given.value], given)

/** Each file as docker run reads it: no quotes, nothing filled in. */
const envFile: Read = (draft, given) => draft.push('env_file', { path: given.value, format: 'raw' }, given)

const labelOf: Read = (draft, given) => {
  if (given.value.startsWith('longshore.'))
    draft.leaveOut(given, 'names that begin with longshore. are taken')
  else draft.put('labels', given)
}

const logOption: Read = (draft, given) => {
  demandPair(given)
  draft.put(['logging', 'options'], given)
}

const demandPair = (given: Given): void => {
  if (splitPair(given.value)[1] === undefined) throw refuseValue(given, 'expected NAME=VALUE')
}

/** docker run takes an empty one as none: the image's counts. */
const healthCommand: Read = (draft, given) => {
  if (given.value !== '') draft.set(['healthcheck', 'test'], given.value, given)
}

const nameServer: Read = (draft, given) => {
  if (isIP(given.value) === 0 && !hasVariable(given.value)) throw refuseValue(given, 'expected an IP address')
  draft.push('dns', given.value, given)
}

const sysctl: Read = (draft, given) => {
  demandPair(given)
  draft.put('sysctls', given)
}

const stopTimeout: Read = (draft, given) => {
  if (given.value === '-1') draft.leaveOut(given, 'no grace is endless; write a long stop_grace_period')
  else draft.set('stop_grace_period', `${given.value}s`, given)
}

const ulimit: Read = (draft, given) => {
  const [name, value = ''] = splitPair(given.value)
  const literal = literalOf(name)
  if (literal === undefined) throw refuseValue(given, 'the name before the = must be known')
  const [soft = '', hard] = value.split(':')
  if (hard !== undefined && Number(hard) >= 0 && Number(soft) > Number(hard))
    throw refuseValue(given, 'the soft limit is above the hard one')
  const limit =
    hard === undefined ? numberOrText(soft) : { soft: numberOrText(soft), hard: numberOrText(hard) }
  draft.set(['ulimits', literal], limit, given)
}

/** The profile's text is what the engine wants; docker run reads it from a file where it is called. */
const securityOpt: Read = (draft, given) => {
  const [name, value = ''] = given.value.split(/[=:](.*)/s)
  if (name === 'seccomp' && value !== 'unconfined' && value !== 'builtin' && !value.startsWith('{'))
    draft.leaveOut(given, 'a profile cannot be read from a file; without it the one of the engine counts')
  else if (name === 'systempaths' || name === 'credentialspec')
    draft.leaveOut(given, 'docker run itself carries this out; there is no key for it')
  else draft.push('security_opt', given.value, given)
}

const dockerOptions: Readonly<Record<string, DockerOption>> = {
  'add-host': item('extra_hosts'),
  annotation: named('annotations'),
  attach: option(idle),
  'blkio-weight': leftOut(blockIo),
  'blkio-weight-device': leftOut(blockIo),
  'cap-add': item('cap_add'),
  'cap-drop': item('cap_drop'),
  'cgroup-parent': text('cgroup_parent'),
  cgroupns: leftOut('the default of the engine counts (default-cgroupns-mode)'),
  cidfile: option(idle),
  'cpu-count': leftOut(windows),
  'cpu-percent': leftOut(windows),
  'cpu-period': leftOut(cpuTime),
  'cpu-quota': leftOut(cpuTime),
  'cpu-rt-period': leftOut(cpuTime),
  'cpu-rt-runtime': leftOut(cpuTime),
  'cpu-shares': leftOut('processors are limited by cpus, not shared by weight'),
  cpus: number('cpus'),
  'cpuset-cpus': leftOut('processors are limited by number, with cpus'),
  'cpuset-mems': leftOut('nodes of memory cannot be chosen'),
  detach: flag(idle, (draft, given) => draft.idle.add(given.option)),
  'detach-keys': option(idle),
  device: option(mapDevice),
  'device-cgroup-rule': leftOut('name each device with --device'),
  'device-read-bps': leftOut(blockIo),
  'device-read-iops': leftOut(blockIo),
  'device-write-bps': leftOut(blockIo),
  'device-write-iops': leftOut(blockIo),
  'disable-content-trust': flag(idle),
  dns: option(nameServer),
  'dns-option': item('dns_opt'),
  'dns-search': item('dns_search'),
  domainname: text('domainname'),
  entrypoint: option(entrypoint),
  env: option((draft, given) => draft.put('environment', given, null)),
  'env-file': option(envFile),
  expose: option(mapExpose),
  gpus: option(mapGpus),
  'group-add': item('group_add'),
  'health-cmd': option(healthCommand),
  'health-interval': text('healthcheck', 'interval'),
  'health-retries': number('healthcheck', 'retries'),
  'health-start-interval': text('healthcheck', 'start_interval'),
  'health-start-period': text('healthcheck', 'start_period'),
  'health-timeout': text('healthcheck', 'timeout'),
  help: flag(idle),
  hostname: text('hostname'),
  init: flag(
    (draft, given) => draft.set('init', true, given),
    (draft, given) => draft.set('init', false, given)
  ),
  interactive: mark('stdin_open'),
  'io-maxbandwidth': leftOut(windows),
  'io-maxiops': leftOut(windows),
  ip: leftOut(addressAdvice),
  ip6: leftOut(addressAdvice),
  ipc: text('ipc'),
  isolation: leftOut(windows),
  'kernel-memory': leftOut('the kernel has no such limit any more; use mem_limit'),
  label: option(labelOf),
  'label-file': leftOut('write the lines of the file under labels'),
  link: leftOut('put both on a network of their own: the name of a container is its address there'),
  'link-local-ip': leftOut(addressAdvice),
  'log-driver': text('logging', 'driver'),
  'log-opt': option(logOption),
  'mac-address': leftOut(addressAdvice),
  memory: text('mem_limit'),
  'memory-reservation': text('mem_reservation'),
  'memory-swap': number('memswap_limit'),
  'memory-swappiness': leftOut('it is a setting of the host, vm.swappiness'),
  mount: option(mapMount),
  /** Read before the others: it is the service's name. */
  name: option(() => {}),
  network: option(mapNetwork),
  /** Read after the others. */
  'network-alias': option(() => {}),
  'no-healthcheck': flag((draft, given) => draft.set(['healthcheck', 'disable'], true, given)),
  'oom-kill-disable': flag((draft, given) => draft.leaveOut(given, 'use oom_score_adj: -1000')),
  'oom-score-adj': number('oom_score_adj'),
  pid: text('pid'),
  'pids-limit': number('pids_limit'),
  platform: text('platform'),
  privileged: mark('privileged'),
  publish: option(mapPublish),
  'publish-all': flag((draft) => {
    draft.isAllPublished = true
  }),
  pull: text('pull_policy'),
  quiet: flag(idle),
  'read-only': mark('read_only'),
  restart: text('restart'),
  rm: flag(idle),
  runtime: text('runtime'),
  'security-opt': option(securityOpt),
  'shm-size': text('shm_size'),
  'sig-proxy': flag(idle, idle),
  'stop-signal': text('stop_signal'),
  'stop-timeout': option(stopTimeout),
  'storage-opt': leftOut('the size of a container cannot be limited'),
  sysctl: option(sysctl),
  tmpfs: item('tmpfs'),
  tty: mark('tty'),
  ulimit: option(ulimit),
  'use-api-socket': flag((draft, given) =>
    draft.leaveOut(given, 'mount /var/run/docker.sock under volumes, and its credentials')
  ),
  user: text('user'),
  userns: text('userns_mode'),
  uts: leftOut('a name for the container is set by hostname'),
  volume: option(mapVolume),
  'volume-driver': option(mapVolumeDriver),
  'volumes-from': leftOut('name the volumes of that container under volumes'),
  workdir: text('working_dir')
}

/** As they may be written too. */
const otherNames: Readonly<Record<string, string>> = {
  'dns-opt': 'dns-option',
  net: 'network',
  'net-alias': 'network-alias'
}

const shorthands: Readonly<Record<string, string>> = {
  a: 'attach',
  c: 'cpu-shares',
  d: 'detach',
  e: 'env',
  h: 'hostname',
  i: 'interactive',
  l: 'label',
  m: 'memory',
  p: 'publish',
  P: 'publish-all',
  q: 'quiet',
  t: 'tty',
  u: 'user',
  v: 'volume',
  w: 'workdir'
}

export const optionNames: readonly string[] = Object.keys(dockerOptions)

/** @param name without dashes, long */
export const findOption = (name: string): { name: string; option: DockerOption } | undefined => {
  const full = Object.hasOwn(otherNames, name) ? otherNames[name] : name
  if (full === undefined || !Object.hasOwn(dockerOptions, full)) return undefined
  const found = dockerOptions[full]
  return found && { name: full, option: found }
}

export const findShorthand = (letter: string): ReturnType<typeof findOption> =>
  Object.hasOwn(shorthands, letter) ? findOption(shorthands[letter] ?? '') : undefined
