// HAProxy's answers on its sockets. It gives texts and no codes, so the exact ones stand here, in one table, as read in
// HAProxy 2.6.12; and the three listings that the agent reads, as rows.
import { isUpgradedName } from './names.ts'

/** Everything that the agent recognises by text. */
export const answerTexts = {
  added: 'New server registered.',
  existsAlready: 'Already exists a server with the same name in backend.',
  deleted: 'Server deleted.',
  stillAttached: 'Server still has connections attached to it, cannot remove it.',
  /** To every `set server` and `shutdown sessions server` of a worker that a reload replaced. */
  isStopping: 'Proxy is disabled.',
  noSuchServer: 'No such server.',
  noSuchBackend: 'No such backend.',
  certificateBegun: 'Transaction created for certificate',
  certificateCommitted: 'Success!',
  workerGone: "Can't find the target PID"
} as const

export const hasAnswer = (answer: string, name: keyof typeof answerTexts): boolean =>
  answer.includes(answerTexts[name])

/** How often an answer came in the one of several commands. */
export const countAnswers = (answer: string, name: keyof typeof answerTexts): number =>
  answer.split(answerTexts[name]).length - 1

export type ServerState = 'ready' | 'drain' | 'maint'

/** One row of `show stat`: a server, a frontend, or a backend as a whole. */
export type StatRow = {
  proxy: string
  kind: 'frontend' | 'backend' | 'server'
  /** Of a server. */
  server: string
  mode: 'http' | 'tcp'
  state: ServerState
  /** A frontend that takes no connections any more. */
  isStopped: boolean
  address: string
  /** Open now. */
  sessions: number
  /** Since this worker began: requests, or connections in mode tcp. */
  total: number
  failedConnects: number
  failedAnswers: number
  /** Answers cut off by the server. */
  cutAnswers: number
  serverErrors: number
  /** Means of the last 1024, milliseconds. */
  answerMs: number
}

const kinds: Record<string, StatRow['kind']> = { '0': 'frontend', '1': 'backend', '2': 'server' }

/** `show stat`. Columns are found by name; rows of kinds that are not known are left out. */
export const readStat = (text: string): StatRow[] => {
  const [head = '', ...lines] = text.split('\n')
  if (!head.startsWith('# pxname,')) return []
  const columns = head.slice(2).split(',')
  return lines.flatMap((line) => {
    if (line.trim() === '') return []
    const cells = line.split(',')
    return readRow((name) => cells[columns.indexOf(name)] ?? '')
  })
}

const readRow = (cell: (name: string) => string): StatRow[] => {
  const kind = kinds[cell('type')]
  if (kind === undefined) return []
  const count = (name: string): number => Number(cell(name)) || 0
  return [
    {
      proxy: cell('pxname'),
      kind,
      server: kind === 'server' ? cell('svname') : '',
      mode: cell('mode') === 'tcp' ? 'tcp' : 'http',
      isStopped: cell('status') === 'STOP',
      state: readState(cell('status')),
      address: cell('addr'),
      sessions: count('scur') + count('qcur'),
      total: count('stot'),
      failedConnects: count('econ'),
      failedAnswers: count('eresp'),
      cutAnswers: count('srv_abrt'),
      serverErrors: count('hrsp_5xx'),
      answerMs: count('qtime') + count('ctime') + count('rtime')
    }
  ]
}

/** `MAINT`, `MAINT (via ...)`, `DRAIN`; servers without health checks of HAProxy's say `no check`. */
const readState = (status: string): ServerState =>
  status.startsWith('MAINT') ? 'maint' : status.startsWith('DRAIN') ? 'drain' : 'ready'

/** One process of `show proc`, as the master numbers them: in its own PID namespace. */
export type ProxyProcess = { pid: number; kind: 'master' | 'worker'; reloads: number; uptimeMs: number }

/** Old workers are those with `reloads` above 0. */
export const readProcesses = (text: string): ProxyProcess[] =>
  [
    ...text.matchAll(/^(\d+)\s+(master|worker)\s+(\d+)(?: \[failed: \d+\])?\s+(\d+)d(\d+)h(\d+)m(\d+)s/gm)
  ].map(([, pid, kind, reloads, days, hours, minutes, seconds]) => ({
    pid: Number(pid),
    kind: kind === 'master' ? 'master' : 'worker',
    reloads: Number(reloads),
    uptimeMs: (((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000
  }))

/** `show info`: which HAProxy answers. */
export type ProxyIdentity = { version: string; pid: number; description: string }

export const readInfo = (text: string): ProxyIdentity | undefined => {
  const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1]
  const version = field('Version')
  const pid = field('Pid')
  if (version === undefined || pid === undefined) return undefined
  return { version, pid: Number(pid), description: field('description') ?? '' }
}

/** `haproxy -v` */
export const readVersion = (text: string): string | undefined => /^HA-?Proxy version (\S+)/.exec(text)?.[1]

/** Runtime calls for servers as the agent makes them, and `retry-on` with what it names, are complete from 2.6 on. */
export const isNewEnough = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  return major > 2 || (major === 2 && minor >= 6)
}

/** `show sess`: ids of the sessions that are attached to one of these servers. */
export const readSessions = (
  text: string,
  isOf: (backend: string, server: string) => boolean
): { id: string; isUpgraded: boolean }[] =>
  [...text.matchAll(/^(0x[0-9a-f]+): .* be=(\S+) srv=(\S+) /gm)].flatMap(([, id, backend, server]) =>
    id !== undefined && backend !== undefined && server !== undefined && isOf(backend, server)
      ? [{ id, isUpgraded: isUpgradedName(backend) }]
      : []
  )
