// Which program is the agent? The installed one, until an upgrade put another in its place; that one is on trial until
// it has been heard by the controller, and a trial that fails is over. Whatever dies at whatever moment, the file that
// says this has one answer for whoever starts next.
import { digest } from '@longshore/protocol'
import * as z from 'zod'

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
/** Kept in the data directory, by the image that it came in. */
const program = z.object({ image: digest, sha256 })
export type Program = z.infer<typeof program>

export const placement = z.object({
  /** What the supervisor starts. Another one there was put there by a person, and is what counts then. */
  installed: z.object({ path: z.string(), sha256 }),
  /** null: the installed one. */
  serving: program.nullable(),
  /** Kept, and not begun with. */
  candidate: program.nullable(),
  /** `starts`: how often it was begun with, and not heard. */
  trial: program.extend({ starts: z.int().min(1) }).nullable(),
  /** Version of the one that the trial, or what serves, came after. */
  former: z.string(),
  /** The last trial that failed. */
  refused: z.object({ image: digest, reason: z.string() }).nullable()
})
export type Placement = z.infer<typeof placement>

/** A program that is killed may have been in nobody's way; one that is killed as often as this dies of itself. */
export const maxTrialStarts = 3

export type Start =
  /** `placement` null: there is none any more. */
  | { kind: 'stay'; placement: Placement | null; isTrial: boolean }
  /** `to` null: the installed one. */
  | { kind: 'go'; to: Program | null; placement: Placement }

/** @param self SHA-256 of the program that asks */
export const chooseProgram = (found: Placement | null, self: string): Start => {
  if (found === null || !isKnown(found, self)) return { kind: 'stay', placement: null, isTrial: false }
  const { trial } = found
  if (trial === null) return place(found, self)
  const isLast = trial.starts >= maxTrialStarts
  const counted = { ...found, trial: { ...trial, starts: trial.starts + 1 } }
  if (trial.sha256 !== self && !isLast) return { kind: 'go', to: trial, placement: counted }
  if (trial.sha256 === self) {
    // one that the supervisor starts by itself is counted here, also when it is begun with
    const isStarted = found.installed.sha256 === self && found.serving !== null
    if (!isStarted) return { kind: 'stay', placement: found, isTrial: true }
    if (trial.starts <= maxTrialStarts) return { kind: 'stay', placement: counted, isTrial: true }
  }
  const reason = `it ended ${maxTrialStarts} times before the controller had heard it`
  return place(endTrial(found, reason), self)
}

const place = (found: Placement, self: string): Start => {
  const wanted = found.serving ?? found.installed
  return wanted.sha256 === self
    ? { kind: 'stay', placement: found, isTrial: false }
    : { kind: 'go', to: found.serving, placement: found }
}

const isKnown = ({ installed, serving, trial }: Placement, self: string): boolean =>
  [installed, serving, trial].some((one) => one?.sha256 === self)

/** What served before goes on. */
export const endTrial = (found: Placement, reason: string): Placement => ({
  ...found,
  trial: null,
  refused: found.trial === null ? found.refused : { image: found.trial.image, reason }
})

/** The controller has heard it: from now on it is the agent. */
export const confirmTrial = (found: Placement): Placement => {
  if (found.trial === null) return found
  const { image, sha256 } = found.trial
  return { ...found, serving: { image, sha256 }, trial: null, refused: null }
}

/** @param version of the program that leaves */
export const beginTrial = (found: Placement, candidate: Program, version: string): Placement => ({
  ...found,
  candidate: null,
  trial: { ...candidate, starts: 1 },
  former: version,
  refused: null
})
