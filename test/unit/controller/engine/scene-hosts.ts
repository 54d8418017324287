// Hosts that keep a journal and answer commands as they are told to, without any engine or agent.
import type { Command, CommandId, RunOutcome, RunReport, ServiceMark } from '@longshore/protocol'
import { isLook } from '@longshore/protocol'
import {
  agentOf,
  planned,
  ranOnce,
  rehearsed,
  released,
  resolved,
  staged,
  upgraded,
  wentBack
} from '../core/deployment-scenes.ts'

/** What a host does with a command; undefined: it says nothing. */
export type Behaviour = (host: string, command: Command) => RunOutcome | undefined

/** A host on which everything works: each release finds the one before it. */
export const obedient = (_host: string, { body }: Command): RunOutcome => {
  switch (body.kind) {
    case 'resolve':
      return resolved
    case 'stage':
      return staged(false, 'a', body.release === 1 ? null : body.release - 1)
    case 'release':
      return { ...released, release: body.release }
    case 'revert':
      return wentBack('revert', 'old')
    case 'remove':
      return wentBack('remove', 'none')
    case 'run-once':
      return ranOnce
    case 'upgrade':
      return upgraded
    case 'rehearse':
      return rehearsed
    case 'plan':
      return planned()
    case 'settle':
      return {
        status: 'succeeded',
        result: { kind: 'settle', warnings: [] },
        serving: 'new',
        release: body.release
      }
  }
}
/** As `obedient`; a command of any other kind is a fault of the test or of the engine. */
export const obedientTo =
  (...kinds: Command['body']['kind'][]): Behaviour =>
  (host, command) => {
    if (!kinds.includes(command.body.kind)) throw new Error(`${command.body.kind} is not expected here`)
    return obedient(host, command)
  }
/** Works in every deployment that neither looks nor runs anything beside what serves. */
export const deploying = obedientTo('resolve', 'stage', 'release', 'revert', 'remove', 'settle')

/** Hosts with their journals: a command is executed once, its report is kept. */
export class Hosts {
  readonly executed = new Map<CommandId, number>()
  readonly names: readonly string[]
  readonly #behaviour: Behaviour
  readonly #reports = new Map<string, RunReport[]>()
  readonly #marks = new Map<string, ServiceMark>()
  #random = 0

  constructor(names: string[], behaviour: Behaviour) {
    this.names = names
    this.#behaviour = behaviour
  }
  nameOf(agent: string): string {
    const name = this.names.find((host) => agentOf(host) === agent)
    if (name === undefined) throw new Error(`there is no agent ${agent}`)
    return name
  }
  reports(host: string): RunReport[] {
    return this.#reports.get(host) ?? []
  }
  marks(host: string): ServiceMark[] {
    return [...this.#marks].flatMap(([key, mark]) => (key.startsWith(`${host}/`) ? [mark] : []))
  }
  execute(host: string, command: Command): RunReport | undefined {
    const { environment, service, fence, body } = command
    if (!isLook(body.kind))
      this.#marks.set(`${host}/${service}`, { environment, service, fence, release: null })
    const own = this.reports(host)
    const known = own.find((report) => report.command === command.id)
    if (known !== undefined) return known
    const outcome = this.#behaviour(host, command)
    if (outcome === undefined) return undefined
    this.executed.set(command.id, (this.executed.get(command.id) ?? 0) + 1)
    const report: RunReport = { command: command.id, number: own.length + 1, outcome, steps: [] }
    this.#reports.set(host, [...own, report])
    return report
  }
  /** Different at each call, the same in each run of the test. */
  randomBytes(count: number): Uint8Array {
    this.#random += 1
    const bytes = new Uint8Array(count)
    new DataView(bytes.buffer).setUint32(0, this.#random)
    return bytes
  }
}
