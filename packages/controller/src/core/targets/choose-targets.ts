// Which hosts of an environment a service belongs on: active ones whose labels meet the placement constraints.
import type { Constraint, Labels } from '@longshore/protocol'

type Candidate = { hostName: string; state: 'active' | 'held' | 'revoked'; labels: Labels }

/** Ordered by host name, so that batches are the same in every deployment. None when the service wants no replica. */
export const chooseTargets = <Agent extends Candidate>(
  agents: readonly Agent[],
  spec: { constraints: Constraint[]; replicas: number }
): Agent[] =>
  spec.replicas === 0
    ? []
    : agents
        .filter((agent) => agent.state === 'active')
        .filter((agent) => spec.constraints.every((constraint) => isMet(constraint, agent.labels)))
        .sort((a, b) => (a.hostName < b.hostName ? -1 : a.hostName > b.hostName ? 1 : 0))

/** A label that the host does not have differs from every value. */
const isMet = ({ label, operator, value }: Constraint, labels: Labels): boolean =>
  (operator === '==') === (Object.hasOwn(labels, label) && labels[label] === value)
