// What became of each request: counts by kind, the first failures with their circumstances, connections that were
// cut, who answered when.
import {
  type Cut,
  type Failure,
  type Kind,
  type KindReport,
  type LoadLine,
  type LoadReport,
  serviceOf,
  type VersionReport,
  type Why
} from './report.ts'

/** Why a request failed; everything else that is thrown is a mistake of the load itself. */
export class RequestFailed extends Error {
  override readonly name = 'RequestFailed'
  readonly why: Why

  constructor(why: Why, detail: string) {
    super(detail)
    this.why = why
  }
}

const maxListed = 400
/** Latencies kept for each kind; later ones replace earlier ones in turn. */
const maxLatencies = 50_000

type Counts = { answered: number; failed: number; latencies: number[] }
/** Kinds that are answered at once: their answers show who is there and when nobody is. */
const isPulse = (kind: Kind): boolean => kind === 'get' || kind === 'get-fresh' || kind === 'post'
const isLongLived = (kind: Kind): boolean => kind === 'socket' || kind === 'line'

export class Tally {
  readonly #say: (line: LoadLine) => void
  readonly #startedAtMs = Date.now()
  readonly #counts = new Map<Kind, Counts>()
  readonly #versions = new Map<string, VersionReport>()
  readonly #failures: Failure[] = []
  readonly #cuts: Cut[] = []
  #lastPulseAtMs: number | null = null
  #longestGap: LoadReport['longestGap'] = null
  sentAgain = 0

  constructor(say: (line: LoadLine) => void) {
    this.#say = say
  }

  get requests(): number {
    return [...this.#counts.values()].reduce((sum, { answered, failed }) => sum + answered + failed, 0)
  }

  answered(kind: Kind, version: string, askedAtMs: number, latencyMs: number): void {
    const counts = this.#countsOf(kind)
    counts.latencies[counts.answered % maxLatencies] = latencyMs
    counts.answered += 1
    const atMs = Date.now()
    if (isPulse(kind)) this.#measureGap(atMs)
    const known = this.#versions.get(version)
    if (known === undefined) this.#say({ type: 'version', version, atMs })
    const seen = known ?? { answers: 0, firstAtMs: atMs, lastAtMs: atMs, lastAskedAtMs: {} }
    seen.answers += 1
    seen.lastAtMs = atMs
    if (!isLongLived(kind)) {
      const service = serviceOf(kind)
      seen.lastAskedAtMs[service] = Math.max(seen.lastAskedAtMs[service] ?? 0, askedAtMs)
    }
    this.#versions.set(version, seen)
  }

  failed(failure: Failure): void {
    this.#countsOf(failure.kind).failed += 1
    if (this.#failures.length >= maxListed) return
    this.#failures.push(failure)
    this.#say({ type: 'failure', ...failure })
  }

  cut(cut: Cut): void {
    if (this.#cuts.length >= maxListed * 10) return
    this.#cuts.push(cut)
    this.#say({ type: 'cut', ...cut })
  }

  report(): LoadReport {
    const kinds: LoadReport['kinds'] = {}
    for (const [kind, counts] of this.#counts) kinds[kind] = reportOf(counts)
    const all = Object.values(kinds)
    return {
      forMs: Date.now() - this.#startedAtMs,
      answered: all.reduce((sum, { answered }) => sum + answered, 0),
      failed: all.reduce((sum, { failed }) => sum + failed, 0),
      kinds,
      failures: this.#failures,
      cuts: this.#cuts,
      versions: Object.fromEntries(this.#versions),
      longestGap: this.#longestGap,
      sentAgain: this.sentAgain
    }
  }

  #measureGap(atMs: number): void {
    const gap = { fromMs: this.#lastPulseAtMs ?? atMs, toMs: atMs }
    this.#lastPulseAtMs = atMs
    const longest = this.#longestGap
    if (longest === null || gap.toMs - gap.fromMs > longest.toMs - longest.fromMs) this.#longestGap = gap
  }

  #countsOf(kind: Kind): Counts {
    const counts = this.#counts.get(kind) ?? { answered: 0, failed: 0, latencies: [] }
    this.#counts.set(kind, counts)
    return counts
  }
}

const reportOf = ({ answered, failed, latencies }: Counts): KindReport => {
  const sorted = latencies.toSorted((a, b) => a - b)
  const at = (share: number): number | null => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
    return value === undefined ? null : Math.round(value * 100) / 100
  }
  return { answered, failed, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}
