// A gate between an agent and its engine: a socket that passes every request on, and holds the agent still at one
// named moment of one step, so that a test can kill something exactly there. Which step the agent is in is read
// from its own journal, which is written before each step begins; what happens at the moment is left to the test.
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { CommandBody } from '@longshore/protocol'
import type { Test } from 'tap'
import { openJournal } from '../../packages/agent/src/adapters/journal.ts'
import type { RunState } from '../../packages/agent/src/core/run-state.ts'
import type { StepKind } from '../../packages/agent/src/core/steps.ts'
import type { Journal } from '../../packages/agent/src/ports.ts'
import { makeTestFolder } from './real-parts.ts'
import { WaitedTooLong } from './wait.ts'

/** `undo`: a step of the way back of a run that failed or was cancelled. */
export type StepName = StepKind | `undo ${StepKind}`

export type Moment = {
  command: CommandBody['kind']
  step: StepName
  /** Not the request that the step is for, but the change of the restart policy before it. */
  isPolicy?: boolean
  /** `asked`: the engine has not seen the request yet; `answered`: it has done it, the agent does not know. */
  edge: 'asked' | 'answered'
}
export type Held = {
  /** Lets the agent go on: its request, or the answer to it, is passed on. */
  open(): void
  /** Breaks the connection: for an agent that was killed here. */
  drop(): void
}
export type EngineGate = {
  /** For DOCKER_HOST. */
  dockerHost: string
  /**
   * Resolves when the agent comes to this moment; it stands still until `open` or `drop`. One moment at a time.
   * Rejects when it never comes within `deadlineMs`.
   */
  hold(moment: Moment, deadlineMs?: number): Promise<Held>
}

/** Method and path of the request that does what the step is for; other requests pass, the agent's watch included. */
const requestOf: Record<StepKind, RegExp> = {
  'check-disk': /^GET .*\/info/,
  'check-ports': /^GET .*\/containers\/json/,
  // HAProxy is told without the engine: the gate holds what such a step asks the engine before.
  'check-proxy': /^GET .*\/containers\/json/,
  'look-for-proxy': /^GET .*\/containers\/json/,
  'create-network': /^POST .*\/networks\/create/,
  'create-own-network': /^(POST .*\/networks\/create|GET .*\/networks)/,
  'resolve-image': /^GET .*\/distribution\//,
  'fetch-image': /^POST .*\/images\/create/,
  'look-for-image': /^GET .*\/images\/.*\/json/,
  'verify-image': /^GET .*\/images\/.*\/json/,
  'tag-image': /^POST .*\/images\/.*\/tag/,
  'create-container': /^POST .*\/containers\/create/,
  'remake-container': /^POST .*\/containers\/create/,
  'retire-container': /^POST .*\/containers\/[^/]+\/stop/,
  'rename-container': /^POST .*\/containers\/[^/]+\/rename/,
  'start-container': /^POST .*\/containers\/[^/]+\/start/,
  'start-command': /^POST .*\/containers\/[^/]+\/start/,
  'await-command': /^GET .*\/containers\/[^/]+\/json/,
  'await-healthy': /^GET .*\/containers\/[^/]+\/json/,
  'share-traffic': /^GET .*\/containers\/[^/]+\/json/,
  'switch-traffic': /^GET .*\/containers\/[^/]+\/json/,
  'take-over-ports': /^POST .*\/containers\/[^/]+\/stop/,
  'drain-containers': /^GET .*\/containers\/[^/]+\/json/,
  'close-ports': /^GET .*\/containers\/json/,
  monitor: /^GET .*\/containers\/[^/]+\/json/,
  'remove-container': /^DELETE .*\/containers\//,
  'prune-images': /^GET .*\/images\/json/,
  'take-agent': /^POST .*\/containers\/create/,
  // neither asks the engine for anything of its own
  'try-agent': /^GET .*\/containers\/json/,
  'hand-over': /^GET .*\/containers\/json/
}

const policyRequest = /^POST .*\/containers\/[^/]+\/update/

type Pass = (edge: Moment['edge'], line: string) => Promise<boolean>
/** The agent asks from several places: what else asks the same waits too, so that the step cannot go on meanwhile. */
type Holding = { moment: Moment; others: ((isPassed: boolean) => void)[] }
type Trap = { moment: Moment; spring: (held: Held) => void }

/**
 * Opens a gate, closed at the end of the test.
 * @param journalPath the agent's journal; need not exist before the agent has taken a command
 */
export const openEngineGate = async (
  t: Test,
  engineSocket: string,
  journalPath: string
): Promise<EngineGate> => {
  const socketPath = join(makeTestFolder(t), 'gate.sock')
  let trap: Trap | undefined
  let holding: Holding | undefined
  let journal: Journal | undefined

  const isAt = (moment: Moment, line: string): boolean => {
    const kind = moment.step.replace(/^undo /, '') as StepKind
    const wanted = moment.isPolicy === true ? policyRequest : requestOf[kind]
    if (!wanted.test(line)) return false
    journal ??= openJournal(journalPath)
    const [run] = journal.openRuns()
    return run?.task.command.body.kind === moment.command && stepOf(run) === moment.step
  }
  /** Resolves at once unless this is the moment that is waited for; false: the connection is to be broken. */
  const pass: Pass = (edge, line) => {
    const isFor = (moment: Moment): boolean => moment.edge === edge && isAt(moment, line)
    if (holding !== undefined && isFor(holding.moment)) {
      const { others } = holding
      return new Promise((resolve) => void others.push(resolve))
    }
    if (trap === undefined || !isFor(trap.moment)) return Promise.resolve(true)
    const { moment, spring } = trap
    trap = undefined
    return new Promise((resolve) => {
      const own: Holding = { moment, others: [resolve] }
      const end = (isPassed: boolean): void => {
        if (holding === own) holding = undefined
        for (const each of own.others) each(isPassed)
      }
      holding = own
      spring({ open: () => end(true), drop: () => end(false) })
    })
  }
  const server = createServer((incoming, outgoing) => {
    void relay(engineSocket, incoming, outgoing, pass)
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  t.teardown(() => {
    journal?.close()
    server.close()
    server.closeAllConnections()
  })
  return {
    dockerHost: `unix://${socketPath}`,
    hold: (moment, deadlineMs = 45_000) =>
      new Promise((resolve, reject) => {
        const name = nameOf(moment)
        if (trap !== undefined) throw new RangeError(`the gate waits for another moment than ${name}`)
        const timer = setTimeout(() => {
          trap = undefined
          reject(new WaitedTooLong(`the agent did not come to "${name}" within ${deadlineMs} ms`))
        }, deadlineMs)
        trap = {
          moment,
          spring: (held) => {
            clearTimeout(timer)
            resolve(held)
          }
        }
      })
  }
}

/** For the title of a test. */
export const nameOf = ({ command, step, isPolicy, edge }: Moment): string =>
  `${command}: ${step}${isPolicy === true ? ' (policy)' : ''} ${edge}`

const stepOf = (run: RunState): StepName | undefined => {
  const isUndoing = run.phase === 'undoing'
  const kind = (isUndoing ? run.undo : run.steps)[run.position]?.kind
  return kind === undefined || !isUndoing ? kind : `undo ${kind}`
}

/** Passes one request on, with its body and its answer as streams. An engine that is away breaks the connection. */
const relay = async (
  engineSocket: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  pass: Pass
): Promise<void> => {
  const line = `${incoming.method} ${incoming.url}`
  if (!(await pass('asked', line)) || outgoing.destroyed) {
    incoming.socket.destroy()
    return
  }
  const forwarded = request({
    socketPath: engineSocket,
    agent: false,
    method: incoming.method,
    path: incoming.url,
    headers: incoming.headers
  })
  const breakOff = (): void => {
    incoming.socket.destroy()
    forwarded.destroy()
  }
  forwarded.on('error', breakOff)
  forwarded.on('response', (answer) => {
    answer.on('error', breakOff)
    answer.on('aborted', breakOff)
    void pass('answered', line).then((isOpen) => {
      if (!isOpen || outgoing.destroyed) return breakOff()
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
  })
  outgoing.on('close', () => forwarded.destroy())
  incoming.pipe(forwarded)
}
