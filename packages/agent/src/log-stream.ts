// One reader's log of one service on this host: finds its containers, reads each as the engine gives it, and keeps what
// waits for a grant. A follower that is too slow loses lines and is told how many; one that reads what there is, and
// ends, is waited for.
import type { InstallationId, LogEntry, LogsOpenMessage } from '@longshore/protocol'
import { chooseLogged, type LoggedContainer } from './core/logs/choose-containers.ts'
import { createLogDecoder, type DecodedLine } from './core/logs/decode-log.ts'
import { behind, pointAt } from './core/logs/log-points.ts'
import {
  type EntryQueue,
  emptyQueue,
  granted,
  hasCaughtUp,
  hasRoom,
  leftOut,
  queued,
  taken,
  tellAllLeftOut
} from './core/logs/queue-entries.ts'
import { checkLogs } from './core/policy.ts'
import { isEngineError } from './engine-error.ts'
import type { Log } from './link.ts'
import type { Clock, ContainerLogs, ContainerWatch, Engine, PolicySource } from './ports.ts'

export type LogStreamPorts = {
  engine: Pick<Engine, 'listContainers'>
  containerLogs: ContainerLogs
  watch: Pick<ContainerWatch, 'onChange'>
  policy: Pick<PolicySource, 'state'>
  installation: () => InstallationId
  clock: Clock
  log: Log
  /** Resolves when so many more bytes may be read. @returns whether that had to be waited for */
  pace: (bytes: number, isFollowed: boolean) => Promise<boolean>
}

/** Docker tells of one deployment in a dozen events. */
const lookAfterMs = 200
/** A container whose log ended although it runs is asked again after this. */
const lookAgainAfterMs = 1_000
/** A grant that takes longer is no hiccup of the network. */
const patienceMs = 1_000
/** So far behind, and no less after the same time again, a follower goes on with what is written now. */
const maxBehindMs = 10_000
/** A policy that changed counts within this. */
const policyEveryMs = 5_000

type Reading = {
  isOver: boolean
  isToldEnded: boolean
  isUnreadable: boolean
  /** Time of the last line. */
  last: string | null
  /** How far behind it was when that was looked at last; null: not far. */
  lag: { seenAtMs: number; lagMs: number } | null
}

export type LogStream = {
  /** What may be sent now, counted against the grant. */
  take(): LogEntry[]
  grant(bytes: number): void
  close(): void
  /** The last entry was taken. */
  readonly isDone: boolean
}

/** @param tell there may be something to take */
export const openLogStream = (
  ports: LogStreamPorts,
  request: LogsOpenMessage,
  tell: () => void
): LogStream => {
  const stream = new OpenStream(ports, request, tell)
  void stream.begin()
  return stream
}

class OpenStream implements LogStream {
  readonly #ports: LogStreamPorts
  readonly #request: LogsOpenMessage
  readonly #tell: () => void
  readonly #closed = new AbortController()
  /** Nothing more is read of the engine. */
  readonly #reading = new AbortController()
  readonly #readings = new Map<string, Reading>()
  readonly #openedAtMs: number
  #queue: EntryQueue
  #waiting: (() => void)[] = []
  #skippingSinceMs: number | null = null
  #cancelLook: (() => void) | undefined
  #unwatch = (): void => {}
  #cancelPolicy = (): void => {}
  #looking = Promise.resolve()
  #hasLooked = false
  #hasDone = false

  constructor(ports: LogStreamPorts, request: LogsOpenMessage, tell: () => void) {
    this.#ports = ports
    this.#request = request
    this.#tell = tell
    this.#queue = emptyQueue(request.grant)
    this.#openedAtMs = ports.clock.nowMs()
  }

  get isDone(): boolean {
    return this.#hasDone && this.#queue.entries.length === 0
  }

  async begin(): Promise<void> {
    if (this.#isRefused()) return
    if (this.#request.isFollowed) this.#unwatch = this.#ports.watch.onChange(() => this.#lookIn(lookAfterMs))
    this.#look()
  }

  /** Looked at again and again: it is the host's, and may change. */
  #isRefused(): boolean {
    const refusal = checkLogs(this.#ports.policy.state())
    if (refusal !== null) {
      this.#done('refused', refusal)
      this.#reading.abort()
    } else this.#cancelPolicy = this.#ports.clock.after(policyEveryMs, () => void this.#isRefused())
    return refusal !== null
  }

  take(): LogEntry[] {
    if (hasCaughtUp(this.#queue)) this.#queue = tellAllLeftOut(this.#queue)
    const { queue, entries } = taken(this.#queue)
    this.#queue = queue
    if (entries.length > 0) for (const wake of this.#waiting.splice(0)) wake()
    return entries
  }

  grant(bytes: number): void {
    this.#queue = granted(this.#queue, bytes)
    this.#tell()
  }

  close(): void {
    this.#closed.abort()
    this.#reading.abort()
    this.#cancelPolicy()
    this.#cancelLook?.()
    this.#unwatch()
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #push(entry: LogEntry): void {
    if (this.#closed.signal.aborted || this.#hasDone) return
    this.#queue = queued(this.#queue, entry)
    this.#tell()
  }

  #done(outcome: Extract<LogEntry, { kind: 'done' }>['outcome'], detail: string): void {
    this.#cancelPolicy()
    this.#push({ kind: 'done', outcome, detail: detail.slice(0, 2000) })
    this.#hasDone = true
    this.#unwatch()
  }

  #lookIn(delayMs: number): void {
    if (this.#cancelLook !== undefined || this.#closed.signal.aborted || this.#hasDone) return
    this.#cancelLook = this.#ports.clock.after(delayMs, () => {
      this.#cancelLook = undefined
      this.#look()
    })
  }

  /** One look after the other. */
  #look(): void {
    this.#looking = this.#looking
      .then(() => this.#lookNow())
      .catch((error: unknown) => {
        const isFirst = this.#readings.size === 0
        this.#ports.log.debug({ err: error }, 'the containers of a log cannot be listed')
        if (isFirst) this.#done('failed', `the Docker Engine does not answer: ${textOf(error)}`)
        else this.#lookIn(lookAgainAfterMs)
      })
  }

  async #lookNow(): Promise<void> {
    if (this.#closed.signal.aborted || this.#hasDone) return
    const { environment, service, isFollowed } = this.#request
    const wanted = { installation: this.#ports.installation(), environment, service }
    const chosen = chooseLogged(await this.#ports.engine.listContainers(), wanted)
    const reads = chosen.filter((one) => this.#isDue(one)).map((one) => this.#read(one))
    this.#hasLooked = true
    const upIds = new Set(chosen.filter((one) => one.isUp).map((one) => one.id))
    for (const [id, reading] of this.#readings)
      if (reading.isOver && !reading.isToldEnded && !upIds.has(id)) this.#tellEnded(id, reading)
    if (isFollowed) return
    // not awaited: a read may take as long as its reader wants
    void Promise.all(reads).then(() => this.#done('complete', ''))
  }

  #isDue({ id, isUp }: LoggedContainer): boolean {
    const reading = this.#readings.get(id)
    if (reading === undefined) return true
    return reading.isOver && isUp && !reading.isUnreadable
  }

  #tellEnded(id: string, reading: Reading): void {
    reading.isToldEnded = true
    if (!reading.isUnreadable) this.#push({ kind: 'ended', container: shortId(id) })
  }

  async #read({ id, name, release, index, isUp }: LoggedContainer): Promise<void> {
    const before = this.#readings.get(id)
    const last = before?.last ?? this.#resumeOf(id)
    const reading: Reading = { isOver: false, isToldEnded: false, isUnreadable: false, last, lag: null }
    this.#readings.set(id, reading)
    const container = shortId(id)
    // a log that broke off and goes on is not told as another one
    if (before === undefined || before.isToldEnded)
      this.#push({ kind: 'begun', container, name, release, index })
    try {
      let isFromNow = false
      while ((await this.#readOnce(id, reading, isFromNow)) === 'behind') {
        this.#queue = leftOut(this.#queue, container, null)
        isFromNow = true
      }
    } catch (error) {
      if (!this.#reading.signal.aborted) this.#failed(container, reading, error)
    }
    reading.isOver = true
    if (this.#request.isFollowed) this.#lookIn(lookAgainAfterMs)
    else if (!isUp) this.#tellEnded(id, reading)
  }

  #resumeOf(id: string): string | null {
    return this.#request.after.find(({ container }) => id.startsWith(container))?.time ?? null
  }

  #failed(container: string, reading: Reading, error: unknown): void {
    if (isEngineError(error, 'not-found')) return
    const isPassing = isEngineError(error, 'unreachable', 'timed-out') || !isEngineError(error)
    reading.isUnreadable = !(isPassing && this.#request.isFollowed)
    const detail = textOf(error).slice(0, 1000)
    this.#push({ kind: 'unreadable', container, detail })
  }

  /** @returns `behind`: it was given up, so much was there */
  async #readOnce(id: string, reading: Reading, isFromNow: boolean): Promise<'ended' | 'behind'> {
    const ended = new AbortController()
    const signal = AbortSignal.any([this.#reading.signal, ended.signal])
    const { isTty, chunks } = await this.#ports.containerLogs.open(id, this.#from(reading, isFromNow), signal)
    const decoder = createLogDecoder(isTty)
    const container = shortId(id)
    try {
      for await (const chunk of chunks) {
        if (this.#isSkipping()) {
          this.#queue = leftOut(this.#queue, container, decoder.skip(chunk))
          this.#tell()
        } else {
          const lines: DecodedLine[] = []
          decoder.read(chunk, (line) => void lines.push(line))
          for (const line of lines) await this.#take(line, container, reading)
        }
        const isHeldUp = await this.#ports.pace(chunk.length, this.#request.isFollowed)
        if (this.#reading.signal.aborted) return 'ended'
        if (this.#isBehind(reading, isHeldUp)) return 'behind'
      }
      const rest: DecodedLine[] = []
      decoder.end((line) => void rest.push(line))
      for (const line of rest) await this.#take(line, container, reading)
      return 'ended'
    } finally {
      ended.abort()
    }
  }

  #from({ last }: Reading, isFromNow: boolean): Parameters<ContainerLogs['open']>[1] {
    const { isFollowed, maxAgeMs, tail } = this.#request
    // `tail` alone: with `since` the engine would read all of its files first
    if (isFromNow) return { isFollowed, since: null, tail: 0 }
    if (last !== null) return { isFollowed, since: behind(last), tail: null }
    const since = maxAgeMs === null ? null : pointAt(this.#openedAtMs - maxAgeMs)
    // one that came meanwhile: whatever it wrote is new
    if (this.#hasLooked) return { isFollowed, since: pointAt(this.#openedAtMs), tail: null }
    return { isFollowed, since, tail }
  }

  async #take(line: DecodedLine, container: string, reading: Reading): Promise<void> {
    const { grep } = this.#request
    if (line.time !== null) reading.last = line.time
    if (grep !== null && !line.text.includes(grep)) return
    const { isCut, ...rest } = line
    if (!hasRoom(this.#queue)) await this.#room()
    this.#push({ kind: 'line', container, ...rest, ...(isCut && { isCut }) })
  }

  /** Resolves when there is room, or when there is none for too long: then lines are left out. */
  async #room(): Promise<void> {
    const { isFollowed } = this.#request
    if (this.#skippingSinceMs !== null) return
    const late = Promise.withResolvers<void>()
    const cancel = isFollowed ? this.#ports.clock.after(patienceMs, late.resolve) : () => {}
    while (!hasRoom(this.#queue) && !this.#closed.signal.aborted) {
      const woken = Promise.withResolvers<'room'>()
      this.#waiting.push(() => woken.resolve('room'))
      const first = await Promise.race([woken.promise, late.promise])
      if (first === 'room') continue
      this.#skippingSinceMs ??= this.#ports.clock.monotonicMs()
      break
    }
    cancel()
  }

  #isSkipping(): boolean {
    if (this.#skippingSinceMs !== null && hasCaughtUp(this.#queue)) this.#skippingSinceMs = null
    return this.#skippingSinceMs !== null
  }

  #isBehind(reading: Reading, isHeldUp: boolean): boolean {
    const nowMs = this.#ports.clock.monotonicMs()
    if (!this.#request.isFollowed) return false
    if (this.#skippingSinceMs === null) return this.#isLagging(reading, nowMs)
    const isLong = nowMs - this.#skippingSinceMs > maxBehindMs
    if (isLong && isHeldUp) this.#skippingSinceMs = nowMs
    return isLong && isHeldUp
  }

  #isLagging(reading: Reading, nowMs: number): boolean {
    const writtenAtMs = reading.last === null ? Number.NaN : Date.parse(reading.last)
    const lagMs = this.#ports.clock.nowMs() - writtenAtMs
    // what was written before is the past that was asked for, and never too old
    if (!(writtenAtMs > this.#openedAtMs) || lagMs <= maxBehindMs) {
      reading.lag = null
      return false
    }
    const before = reading.lag
    if (before !== null && nowMs - before.seenAtMs < maxBehindMs) return false
    reading.lag = { seenAtMs: nowMs, lagMs }
    return before !== null && lagMs >= before.lagMs
  }
}

const shortId = (id: string): string => id.slice(0, 12)
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
