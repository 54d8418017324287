// Who this agent is, once registered: what the controller's answer said and what trust in the controller starts
// from. Stored as identity.json; holds no secret.
import { agentId, environmentName, installationId, labels, limits, thumbprint } from '@longshore/protocol'
import * as z from 'zod'

export const identity = z.object({
  installation: installationId,
  agent: agentId,
  environment: environmentName,
  labels,
  /** The key that the join token named: the root from which the chain is followed. */
  trusted: thumbprint,
  /** Announcements of the controller's keys, oldest first. */
  keyChain: z.array(z.string().max(4096)).min(1).max(limits.maxKeyChain)
})
export type Identity = z.infer<typeof identity>
