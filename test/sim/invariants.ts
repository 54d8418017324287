// What must hold in every run of the simulation, whatever dies when.
import type { Command } from '@longshore/protocol'
import type { DeploymentView } from '../../packages/controller/src/api/schemas.ts'
import {
  type DeploymentState,
  isRepair,
  partOf
} from '../../packages/controller/src/core/deployment/state.ts'
import type { SimulatedContainer } from './simulated-engine.ts'
import type { Member } from './world.ts'

export class Violation extends Error {
  override readonly name = 'Violation'
}

const demand = (isTrue: boolean, what: string): void => {
  if (!isTrue) throw new Violation(what)
}

/** Nothing is stopped anywhere before every target of the deployment was ready. */
export const checkStop = (run: Command | undefined, states: ReadonlyMap<string, DeploymentState>): void => {
  const state = run === undefined ? undefined : states.get(run.deployment)
  demand(state !== undefined, 'a container was stopped without a run in the journal')
  demand(
    state?.phase !== 'requested' && state?.phase !== 'staging',
    `${run?.body.kind} stopped a container while its deployment was ${state?.phase}`
  )
}

/** At the moment in which a deployment ends, its outcome is true of every target. */
export const checkEnd = (members: readonly Member[], state: DeploymentState): void => {
  for (const target of state.targets) {
    if (target.state === 'skipped') continue
    const part = partOf(state, target)
    const serving = shouldServe(members.find(({ agent }) => agent.id === target.agent))
    const runsNew = serving.some(({ owner }) => owner?.release === part.release)
    const said = `${state.outcome} with release ${part.release}, but ${target.host}`
    switch (state.outcome) {
      case 'succeeded':
        demand(target.state === 'released', `${said} is ${target.state}`)
        demand(serving.length === 1 && runsNew, `${said} serves ${words(serving)}`)
        break
      case 'reverted':
      case 'cancelled':
      case 'refused':
        demand(!runsNew || target.isRunning || isRepair(part), `${said} serves ${words(serving)}`)
        break
      case 'mixed':
      case null:
        break
      default:
        state.outcome satisfies never
    }
  }
}

/** When everything has come back and calmed down. */
export const checkLast = (members: readonly Member[], view: DeploymentView, current: number | null): void => {
  for (const { agent, name } of members) {
    for (const [key, count] of agent.host.record.created)
      demand(count === 1, `${name}: command ${key} made its container ${count} times`)
    const running = [...agent.host.containers.values()].filter(({ state }) => state === 'running')
    demand(running.length <= 1, `${name} runs ${words(running)} at once`)
  }
  // A refused deployment changed nothing: what its view says of a host is what the host said then.
  if (view.outcome === 'refused') return
  for (const target of view.targets) {
    if (target.state === 'skipped' || target.state === 'unknown') continue
    const serving = shouldServe(members.find(({ agent }) => agent.id === target.agent))
    const said = `${view.outcome}: ${target.host} is said to be ${target.state}, serving ${target.serving}`
    switch (target.serving) {
      case 'new':
        demand(serving[0]?.owner?.release === view.release, `${said}, but serves ${words(serving)}`)
        break
      case 'old':
        demand(
          serving.length === 1 && serving[0]?.owner?.release !== undefined,
          `${said}, but serves ${words(serving)}`
        )
        if (view.outcome === 'reverted' && current !== null && target.state === 'reverted')
          demand(serving[0]?.owner?.release === current, `${said}, but serves ${words(serving)}`)
        break
      case 'none':
        demand(serving.length === 0, `${said}, but serves ${words(serving)}`)
        break
      case 'unknown':
        break
      default:
        target.serving satisfies never
    }
  }
}

/** Runs now, or will as soon as the engine is back. */
const shouldServe = (member: Member | undefined): SimulatedContainer[] =>
  [...(member?.agent.host.containers.values() ?? [])].filter(
    ({ state, restart }) => state === 'running' || (restart.name !== 'no' && state === 'exited')
  )

const words = (containers: readonly SimulatedContainer[]): string =>
  containers.map(({ name, state }) => `${name} (${state})`).join(' and ') || 'nothing'
