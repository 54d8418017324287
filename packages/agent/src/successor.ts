// How this process gives its place to another version of the agent, and how that one keeps it or gives it back. The
// process stays the same (execve), so that whoever supervises it sees one that runs on: systemd, Docker, or a person.
import { type Digest, limits } from '@longshore/protocol'
import { beginTrial, chooseProgram, confirmTrial, endTrial, type Placement } from './core/programs.ts'
import { readFileInTar } from './core/read-tar.ts'
import { isEngineError, StepError } from './engine-error.ts'
import type { Log } from './link.ts'
import type { Clock, CopyFile, ProgramFiles, Successor, TryProgram } from './ports.ts'

/** Where Dockerfile.agent puts it. */
const programPath = '/app/agent.mjs'
/** Far above what the bundle has; a file in memory. */
const maxProgramBytes = 64 * 1024 * 1024
/** From the start of the new program until the controller has spoken to it. */
export const trialLimitMs = 60_000

export type Self = { path: string; sha256: string; version: string }

export type SuccessorPorts = {
  files: ProgramFiles
  self: Self
  clock: Clock
  log: Log
  copyFile: CopyFile
  tryProgram: TryProgram
  /** This process is to stop, and to become the program at the path. */
  leaveTo(path: string): void
}

/** Of the process: what the port does, and what the process tells it. */
export type OwnSuccessor = Successor & {
  /** The controller has spoken in a session of this process. */
  heard(): void
}

/**
 * Before anything else: is this the program that is to run?
 * @returns the path of the one that is, or null: this one
 */
export const findPlace = (files: ProgramFiles, { sha256 }: Pick<Self, 'sha256'>): string | null => {
  for (;;) {
    const found = files.read()
    const start = chooseProgram(found, sha256)
    if (start.kind === 'stay') {
      if (JSON.stringify(start.placement) !== JSON.stringify(found)) files.write(start.placement)
      return null
    }
    const { to, placement } = start
    if (to === null || files.isWhole(to)) {
      files.write(placement)
      return to === null ? placement.installed.path : files.pathOf(to)
    }
    // what is gone or damaged is not run; what is installed is
    const why = 'its file in the data directory is damaged'
    files.write(placement.trial === null ? { ...placement, serving: null } : endTrial(placement, why))
  }
}

/** The trial has failed. @returns the path of what served before, or null: this process is on no trial */
export const giveBack = (
  files: ProgramFiles,
  { sha256 }: Pick<Self, 'sha256'>,
  reason: string
): string | null => {
  const found = files.read()
  if (found === null || found.trial?.sha256 !== sha256) return null
  const next = endTrial(found, reason.slice(0, limits.maxReasonChars))
  files.write(next)
  return next.serving === null ? next.installed.path : files.pathOf(next.serving)
}

export const createSuccessor = (ports: SuccessorPorts): OwnSuccessor => {
  const { files, self, clock, log } = ports
  const heard = Promise.withResolvers<void>()
  const isTrial = files.read()?.trial?.sha256 === self.sha256
  if (isTrial) {
    log.info({ version: self.version }, 'this version of the agent is on trial')
    clock.after(trialLimitMs, () => {
      const why = `it was not answered by the controller within ${trialLimitMs / 1000} s`
      const former = giveBack(files, self, why)
      if (former === null) return
      log.error({ version: self.version }, `the trial of this version has failed: ${why}`)
      ports.leaveTo(former)
    })
  }
  const placed = (): Placement =>
    files.read() ?? {
      installed: { path: self.path, sha256: self.sha256 },
      serving: null,
      candidate: null,
      trial: null,
      former: self.version,
      refused: null
    }
  return {
    heard: heard.resolve,
    take: async (reference, image) => {
      if (typeof process.execve !== 'function')
        throw new StepError('unsupported', `Node ${process.versions.node} cannot replace a process; 24 can`)
      const candidate = files.keep(image, await readProgram(ports.copyFile, reference))
      files.write({ ...placed(), candidate, refused: null })
    },
    tryOut: async (image, signal) => ports.tryProgram(files.pathOf({ image }), signal),
    handOver: async (image, signal) => {
      const now = placed()
      if (now.serving?.image === image && now.serving.sha256 === self.sha256) {
        // kept once more by this upgrade, else this step is repeated after it was confirmed
        const isNoChange = now.candidate?.image === image
        return { version: self.version, former: isNoChange ? self.version : now.former }
      }
      if (now.trial?.image === image && isTrial) {
        await Promise.race([heard.promise, stopped(signal)])
        const next = confirmTrial(placed())
        files.write(next)
        files.prune(next.serving === null ? [] : [next.serving])
        return { version: self.version, former: next.former }
      }
      if (now.refused?.image === image) throw new StepError('upgrade-failed', now.refused.reason)
      return leave(ports, now, image, signal)
    }
  }
}

const leave = async (
  { files, self, log, leaveTo }: SuccessorPorts,
  now: Placement,
  image: Digest,
  signal: AbortSignal
): Promise<{ version: string; former: string }> => {
  const { candidate } = now
  if (candidate?.image !== image || !files.isWhole(candidate))
    throw new StepError('upgrade-failed', 'its program is gone from the data directory')
  // the very same program has nothing to leave to
  if (candidate.sha256 === self.sha256) return { version: self.version, former: self.version }
  files.write(beginTrial(now, candidate, self.version))
  log.info({ image }, 'the new version of the agent takes over')
  leaveTo(files.pathOf(candidate))
  return stopped(signal)
}

const readProgram = async (copyFile: CopyFile, reference: string): Promise<Buffer> => {
  try {
    const program = readFileInTar(await copyFile(reference, programPath, maxProgramBytes))
    if (program !== undefined && program.length > 0) return program
  } catch (error) {
    if (!isEngineError(error, 'not-found')) throw error
  }
  throw new StepError('image-invalid', `the image has no file ${programPath}: it is not one of an agent`)
}

/** Rejects when the run is to stop waiting: the process ends, and the step begins anew in the next one. */
const stopped = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const end = (): void => reject(new StepError('interrupted', 'the agent is stopping'))
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
