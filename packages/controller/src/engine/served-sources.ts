// Which source served the release that a host runs: what the deployment that made its containers knows of the host, or,
// when the image was there by then, the one that brought the release. What they knew when they ended is remembered, since
// `status` is asked often and the states are large.
import { type AgentId, sourceText } from '@longshore/protocol'
import type { Reads } from '../ports.ts'
import { stateOf } from './view-deployment.ts'

/** Of one host. `deployment`: of its containers; null: they do not say. */
export type Serving = {
  environment: string
  service: string
  agent: AgentId
  release: number
  deployment: string | null
}
export type ServedSources = {
  /** @returns as `sourceText` writes it; null: it was on the host; undefined: nobody knows */
  of(reads: Reads, serving: Serving): Promise<string | null | undefined>
}
/** By `service agent`. */
type Served = ReadonlyMap<string, string | null>

/** The oldest is forgotten first: 1,000 hosts take about 100 kB. */
const maxDeployments = 500
const nobody: Served = new Map()

export const createServedSources = (): ServedSources => {
  const known = new Map<string, Served>()
  const servedBy = async (reads: Reads, id: string): Promise<Served> => {
    const remembered = known.get(id)
    if (remembered !== undefined) return remembered
    const row = await reads.deployment(id)
    if (row === undefined) return nobody
    const { targets } = stateOf(row)
    const served: Served = new Map(
      targets.flatMap(({ service, agent, source }) =>
        source === undefined ? [] : [[keyOf({ service, agent }), source && sourceText(source)]]
      )
    )
    if (row.phase === 'ended') known.set(id, served)
    const oldest = known.keys().next()
    if (known.size > maxDeployments && oldest.done === false) known.delete(oldest.value)
    return served
  }
  return {
    of: async (reads, serving) => {
      const { environment, service, release, deployment } = serving
      const key = keyOf(serving)
      const last = deployment === null ? undefined : (await servedBy(reads, deployment)).get(key)
      if (typeof last === 'string') return last
      const row = await reads.release(environment, service, release)
      const first = row && (await servedBy(reads, row.deployment)).get(key)
      return first === undefined ? last : first
    }
  }
}

const keyOf = ({ service, agent }: Pick<Serving, 'service' | 'agent'>): string => `${service} ${agent}`
