// Conversations with a running HAProxy: what it is and does (`look`), and runtime calls whose answers are checked.
// Which calls is decided in core/proxy; workers that a reload replaced are reached through the master.
import type { Connections } from '@longshore/protocol'
import {
  answerTexts,
  countAnswers,
  hasAnswer,
  type ProxyIdentity,
  type ProxyProcess,
  readInfo,
  readProcesses,
  readSessions,
  readStat,
  type StatRow
} from '../../core/proxy/answers.ts'
import { countAttached, countOnOldWorker, rowsOf, stoppingTimes } from '../../core/proxy/attachments.ts'
import type { WantedBackend } from '../../core/proxy/backends.ts'
import { isBackendOf, serverName } from '../../core/proxy/names.ts'
import { findDifferences, planSwitch } from '../../core/proxy/plan-switch.ts'
import type { ServiceKey } from '../../core/proxy/routes.ts'
import { ProxyError } from '../../proxy-error.ts'
import { listStarts, type ProxyFiles } from './files.ts'
import { askSocket, isNobodyThere } from './socket.ts'

export type ProxyLook = { identity: ProxyIdentity; rows: StatRow[] }

/** @returns undefined when none answers */
export const look = async ({ admin }: ProxyFiles): Promise<ProxyLook | undefined> => {
  try {
    const answer = await askSocket(admin, 'show info; show stat')
    const at = answer.indexOf('# pxname,')
    const identity = readInfo(answer)
    return identity === undefined || at < 0 ? undefined : { identity, rows: readStat(answer.slice(at)) }
  } catch {
    return undefined
  }
}

export type Masters = {
  /** Of the HAProxy in use: the one started last. */
  current: (ProxyProcess & { socket: string }) | undefined
  /** Its worker, asked through it: the sockets of two HAProxys may be one for a moment. */
  worker: { identity: ProxyIdentity } | undefined
  /** Workers that take no new connections; `socket` is that of their master. */
  old: { socket: string; pid: number; stoppingMs: number }[]
}

/** Asks every master. Those that are gone have left their sockets. */
export const askMasters = async (files: ProxyFiles): Promise<Masters> => {
  const found: { socket: string; processes: ProxyProcess[] }[] = []
  for (const start of await listStarts(files)) {
    const socket = files.masterOf(start)
    const processes = readProcesses(await askOrNothing(socket, 'show proc'))
    if (processes.length > 0) found.push({ socket, processes })
  }
  const [latest, ...replaced] = found
  const master = latest?.processes.find(({ kind }) => kind === 'master')
  const current = master === undefined ? undefined : { ...master, socket: latest?.socket ?? '' }
  const stopped = replaced.flatMap(({ socket, processes }) =>
    processes
      .filter(({ kind }) => kind === 'worker')
      .map(({ pid }) => ({ socket, pid, stoppingMs: current?.uptimeMs ?? 0 }))
  )
  const old = latest === undefined ? [] : stoppingTimes(latest.processes)
  const info = latest === undefined ? '' : await askOrNothing(latest.socket, '@1 show info')
  const identity = readInfo(info)
  const worker = identity === undefined ? undefined : { identity }
  return {
    current,
    worker,
    old: [...old.map((one) => ({ ...one, socket: latest?.socket ?? '' })), ...stopped]
  }
}

const askOrNothing = (socket: string, command: string): Promise<string> =>
  askSocket(socket, command).catch((error: unknown) => {
    if (isNobodyThere(error)) return ''
    throw error
  })

/** Brings the servers to what is wanted and looks whether they are. */
export const switchServers = async (
  files: ProxyFiles,
  wanted: readonly WantedBackend[],
  rows: readonly StatRow[]
): Promise<void> => {
  const { additions, withdrawals } = planSwitch(wanted, rows)
  for (const line of additions) {
    const answer = await askSocket(files.admin, line)
    const due = line.split('add server ').length - 1
    if (countAnswers(answer, 'added') < due) throw refusedCall(line, answer)
  }
  for (const line of withdrawals) {
    const answer = await askSocket(files.admin, line)
    if (answer.trim() !== '') throw refusedCall(line, answer)
  }
  if (additions.length === 0 && withdrawals.length === 0) return
  const after = await look(files)
  const differences = after === undefined ? ['it went away'] : findDifferences(wanted, after.rows)
  if (differences.length > 0)
    throw new ProxyError('proxy-error', `HAProxy did not switch: ${differences.slice(0, 5).join(', ')}`)
}

const refusedCall = (line: string, answer: string): ProxyError =>
  new ProxyError(
    'proxy-error',
    `HAProxy refuses "${line.slice(0, 300)}": ${answer.trim().replaceAll(/\s+/g, ' ').slice(0, 500)}`
  )

/** Takes servers out that nothing is attached to, and tells what is attached to the others. */
export const detachServers = async (
  files: ProxyFiles,
  seen: ProxyLook,
  key: ServiceKey,
  containers: readonly string[]
): Promise<{ left: Connections; deleted: StatRow[] }> => {
  const left: StatRow[] = []
  const deleted: StatRow[] = []
  for (const row of rowsOf(seen.rows, key, containers)) {
    if (row.sessions === 0 && (await deleteServer(files, row))) deleted.push(row)
    else left.push({ ...row, sessions: Math.max(1, row.sessions) })
  }
  return { left: countAttached(left), deleted }
}

/** HAProxy itself refuses while anything is attached: nothing can come between the count and the deletion. */
const deleteServer = async ({ admin }: ProxyFiles, { proxy, server }: StatRow): Promise<boolean> => {
  const line = `set server ${proxy}/${server} state maint; del server ${proxy}/${server}`
  const answer = await askSocket(admin, line)
  if (hasAnswer(answer, 'deleted') || hasAnswer(answer, 'noSuchServer')) return true
  if (hasAnswer(answer, 'stillAttached')) return false
  throw refusedCall(line, answer)
}

export const lookOrThrow = async (files: ProxyFiles): Promise<ProxyLook> => {
  const seen = await look(files)
  if (seen === undefined) throw new ProxyError('proxy-error', 'HAProxy does not answer')
  return seen
}

export type OldWorker = Masters['old'][number] & { rows: StatRow[] }

/** Workers that a reload or a start replaced and that still have clients. */
export const lookAtOldWorkers = async (files: ProxyFiles): Promise<OldWorker[]> => {
  const looks = await Promise.all(
    (await askMasters(files)).old.map(async (worker) => {
      const answer = await askWorker(worker, 'show stat')
      return answer === undefined ? [] : [{ ...worker, rows: readStat(answer) }]
    })
  )
  return looks.flat()
}

/**
 * @returns undefined when the worker is gone: it ends with its last client. Rejects when that is not certain: a worker
 * that does not answer may hold connections all the same.
 */
const askWorker = async (
  worker: Pick<OldWorker, 'socket' | 'pid'>,
  command: string,
  isRepeated = false
): Promise<string | undefined> => {
  const answer = await askSocket(worker.socket, `@!${worker.pid} ${command}`).catch((error: unknown) => {
    // it may have ended in the middle of the answer, or its master with it
    if (isRepeated && !isNobodyThere(error)) throw error
    return isRepeated ? answerTexts.workerGone : undefined
  })
  if (answer === undefined) return askWorker(worker, command, true)
  return answer.startsWith(answerTexts.workerGone) ? undefined : answer
}

/** @param isClosed idle clients are not waited for any more */
export const countOnOldWorkers = async (
  files: ProxyFiles,
  key: ServiceKey,
  containers: readonly string[],
  isClosed: boolean
): Promise<Connections> => {
  const sum = { requests: 0, upgraded: 0 }
  for (const { stoppingMs, rows } of await lookAtOldWorkers(files)) {
    const count = isClosed
      ? countAttached(rowsOf(rows, key, containers))
      : countOnOldWorker(rows, key, containers, stoppingMs)
    sum.requests += count.requests
    sum.upgraded += count.upgraded
  }
  return sum
}

/** On old workers session by session: they refuse `shutdown sessions server`. */
export const closeSessions = async (
  files: ProxyFiles,
  key: ServiceKey,
  containers: readonly string[]
): Promise<void> => {
  const seen = await lookOrThrow(files)
  for (const { proxy, server } of rowsOf(seen.rows, key, containers)) {
    await askSocket(files.admin, `shutdown sessions server ${proxy}/${server}`)
  }
  const names = new Set(containers.map(serverName))
  for (const worker of await lookAtOldWorkers(files)) {
    const listing = (await askWorker(worker, 'show sess')) ?? ''
    const sessions = readSessions(listing, (proxy, server) => isBackendOf(key, proxy) && names.has(server))
    for (const { id } of sessions) await askWorker(worker, `shutdown session ${id}`)
  }
}

/** Replaces a certificate in place: connections stay, new ones get it. */
export const updateCertificate = async ({ admin }: ProxyFiles, path: string, pem: string): Promise<void> => {
  // what was refused at its commit waits there, and the next one would be a part of it
  await askSocket(admin, `abort ssl cert ${path}`)
  const begun = await askSocket(admin, `set ssl cert ${path} <<\n${pem}`)
  const answer = hasAnswer(begun, 'certificateBegun')
    ? await askSocket(admin, `commit ssl cert ${path}`)
    : begun
  if (!hasAnswer(answer, 'certificateCommitted')) throw refusedCall(`set ssl cert ${path}`, answer)
}
