// Which release does a rollback go back to? One that succeeded at some time; what it became later does not matter.
import type { Outcome } from '../deployment/vocabulary.ts'

export type PastRelease = { number: number; outcome: Outcome | null; repository: string }
export type Former<R> =
  | { kind: 'found'; release: R }
  | { kind: 'refused'; code: 'unknown-release' | 'not-good' | 'nothing-to-roll-back-to'; why: string }

/**
 * @param releases newest first
 * @param current number of the current release; null: none
 * @param asked null: the newest good one below the current
 */
export const chooseFormer = <R extends PastRelease>(
  releases: readonly R[],
  current: number | null,
  asked: number | null
): Former<R> => {
  if (asked !== null) return takeAsked(releases, asked)
  const former = releases.find((one) => isGood(one) && current !== null && one.number < current)
  if (former !== undefined) return { kind: 'found', release: former }
  return {
    kind: 'refused',
    code: 'nothing-to-roll-back-to',
    why:
      current === null
        ? 'no release is current'
        : `no release below the current one, ${current}, ever succeeded`
  }
}

const takeAsked = <R extends PastRelease>(releases: readonly R[], asked: number): Former<R> => {
  const found = releases.find((one) => one.number === asked)
  if (found === undefined)
    return { kind: 'refused', code: 'unknown-release', why: `there is no release ${asked}` }
  if (isGood(found)) return { kind: 'found', release: found }
  const fate = found.outcome === null ? 'has not succeeded yet' : `never succeeded: it was ${found.outcome}`
  return { kind: 'refused', code: 'not-good', why: `release ${asked} ${fate}` }
}

/** What may be named instead. */
export const goodReleases = (releases: readonly PastRelease[]): number[] =>
  releases.filter(isGood).map(({ number }) => number)

const isGood = ({ outcome }: PastRelease): boolean => outcome === 'succeeded'

/**
 * Whose image is still on the hosts that ran it: cleaning up keeps the current release and `keepImages` before it, per
 * repository, and leaves later ones alone.
 */
export const isKept = (
  release: PastRelease,
  releases: readonly PastRelease[],
  current: number | null,
  keepImages: number
): boolean => {
  if (current === null || release.number > current) return true
  const newer = releases.filter(
    ({ number, repository }) =>
      repository === release.repository && number > release.number && number <= current
  )
  return newer.length <= keepImages
}
