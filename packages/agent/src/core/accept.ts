// What to answer to a command that arrived: take it, repeat an earlier answer, or refuse it. Pure; the
// signature, agent and installation were checked before, and writing to the journal comes after.
import type { Command, Fence, RefusalCode, ServiceSpec } from '@longshore/protocol'
import { compareFences, isLook } from '@longshore/protocol'
import { checkPolicy, type PolicyState } from './policy.ts'
import { splitSources } from './source-policy.ts'

export type Acceptance =
  | { kind: 'take' }
  /** In the journal already, not ended: say `accepted` once more. */
  | { kind: 'repeat-accepted' }
  /** In the journal and ended: its stored report is the answer. */
  | { kind: 'repeat-report' }
  | { kind: 'refuse'; code: RefusalCode; detail: string }

export type AcceptanceInput = {
  command: Command
  /** What the journal knows of this id. */
  known: 'absent' | 'open' | 'ended'
  /** Highest fence taken for this service and environment. */
  highestFence: Fence | null
  /** The controller's time, milliseconds since the epoch. */
  controllerNowMs: number
  openCommands: number
  maxOpenCommands: number
  policy: PolicyState
}

/** Order matters: a duplicate is answered as before, however late, stale or forbidden it has become. */
export const decideAcceptance = (input: AcceptanceInput): Acceptance => {
  const { command, highestFence } = input
  if (input.known === 'open') return { kind: 'repeat-accepted' }
  if (input.known === 'ended') return { kind: 'repeat-report' }
  const { kind } = command.body
  // What only looks may come late or early: it cannot undo what a newer deployment did.
  if (!isLook(kind) && highestFence !== null && compareFences(command.fence, highestFence) < 0)
    return refuse(
      'stale',
      `a command with the fence ${words(highestFence)} came before ${words(command.fence)}`
    )
  if (input.controllerNowMs > command.notAfterMs)
    return refuse('expired', `its time ended ${input.controllerNowMs - command.notAfterMs} ms ago`)
  const [objection] = kind === 'plan' ? [] : objectionsTo(command, input.policy)
  if (objection !== undefined) return refuse(objection.code, objection.detail)
  if (input.openCommands >= input.maxOpenCommands)
    return refuse('busy', `${input.openCommands} commands wait on this host already`)
  return { kind: 'take' }
}

export type Objection = { code: Extract<RefusalCode, 'unsupported' | 'policy'>; detail: string }

/** What this agent cannot do and what its host forbids; a `plan` reports it, other commands are refused for it. */
export const objectionsTo = (command: Command, policy: PolicyState): Objection[] => {
  const unsupported = findUnsupported(command)
  const forbidden = checkPolicy(policy, command.service, command.body) ?? findNoSource(command, policy)
  return [
    ...(unsupported === null ? [] : [{ code: 'unsupported' as const, detail: unsupported }]),
    ...(forbidden === null ? [] : [{ code: 'policy' as const, detail: forbidden }])
  ]
}

/** Some that are not allowed are left out; none that is leaves nothing to do. */
const findNoSource = ({ body }: Command, policy: PolicyState): string | null => {
  if (!('sources' in body)) return null
  const { allowed, refused } = splitSources(policy, body.image.repository, body.sources)
  return allowed.length > 0 ? null : (refused[0]?.detail ?? null)
}

const findUnsupported = ({ body }: Command): string | null => {
  if (!('spec' in body)) return null
  if (body.kind === 'rehearse' && body.spec.networkMode === 'host')
    return "a rehearsal cannot stand beside what serves on the host's network: both would take the same ports"
  if (body.spec.routing !== null) return findUnroutable(body.spec)
  const isOnFixedPort = body.spec.ports.some((port) => port.published !== null)
  if (body.spec.replicas > 1 && isOnFixedPort)
    return 'several replicas on one fixed port need deploy.update_config.order: start-first'
  return null
}

/** HAProxy holds fixed TCP ports of the host and reaches containers at addresses that they have on a bridge. */
const findUnroutable = ({ ports, networkMode, networks }: ServiceSpec): string | null => {
  if (ports.some(({ protocol }) => protocol === 'udp'))
    return 'start-first cannot move the traffic of a UDP port: use stop-first, or a service of its own for it'
  if (ports.some(({ published }) => published === null))
    return 'start-first needs a fixed host port for each of its ports: "HOST:CONTAINER"'
  const mode = [networkMode, ...networks.map(({ name }) => name)].find(isWithoutBridge)
  return mode == null
    ? null
    : `start-first needs containers with addresses of their own, which network_mode: ${mode} does not give`
}

const isWithoutBridge = (mode: string | null): boolean =>
  mode === 'host' || mode === 'none' || mode?.startsWith('container:') === true

const refuse = (code: RefusalCode, detail: string): Acceptance => ({ kind: 'refuse', code, detail })

const words = ({ generation, epoch, index }: Fence): string => `${generation}.${epoch}.${index}`
