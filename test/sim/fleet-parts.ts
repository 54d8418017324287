// What a simulated fleet is made of and planned with, and the points at which something may go wrong in it.
import type { EnvironmentName, ServiceName, ServiceSpec } from '@longshore/protocol'
import type { Actor } from '../../packages/controller/src/ports.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { SimulatedAgent } from './simulated-agent.ts'
import type { SimulatedController } from './simulated-controller.ts'
import type { SimulatedHost } from './simulated-engine.ts'
import type { Fate, SimulatedSession } from './simulated-network.ts'

export const environment = 'staging' as EnvironmentName
export const startMs = 1_700_000_000_000
export const operator: Actor = { kind: 'api-token', id: 'tok_00000000000000000001', name: 'sim', address: '' }

export type Member = {
  name: string
  labels: Record<string, string>
  host: SimulatedHost
  agent: SimulatedAgent
  isCutOff: boolean
  session: SimulatedSession | undefined
  /** Who has its session. */
  heldBy: SimulatedController | undefined
  /** How far its wall clock is off. */
  skewMs: number
  /** Its key is on another machine too: what it is told may be carried out there. */
  hasClone: boolean
  /** For good: it does not come back. */
  isOff: boolean
  /** Containers of an agent whose journal is lost. */
  inherited: Set<string>
  /** Its new key is not registered yet. */
  isBeingSetUp: boolean
}
/** Where something may go wrong: a message is being sent, a write was done, a call to an engine took effect. */
export type Point =
  | { kind: 'up' | 'down'; member: Member; type: string }
  | { kind: 'committed' }
  | { kind: 'journalled' | 'called'; member: Member }
export type Trace = (line: string) => void

export type FleetPorts = {
  random: SeededRandom
  trace: Trace
  /** Called at each point; what it answers counts for messages only. */
  interfere: (point: Point) => Fate
}
export type HostPlan = { name: string; labels: Record<string, string>; skewMs: number }
export type ServicePlan = { service: ServiceName; spec: ServiceSpec }
