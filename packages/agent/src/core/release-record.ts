// The create requests of a release's containers: made from the spec when a command is taken, and written into
// the journal, so that a revert can make the containers again.
import type { Command } from '@longshore/protocol'
import { pinnedReference } from './image-match.ts'
import type { ContainerRequest, Ownership, Purpose, ReleaseRecord, RestartPolicy } from './observation.ts'
import { readOwnLabels, writeOwnLabels } from './own-labels.ts'

/** The labels that a container of this command carries. */
export const ownershipOf = (
  command: Command,
  release: number,
  index: number,
  of: { specHash: string; purpose: Purpose; restart: RestartPolicy }
): Ownership => ({
  installation: command.installation,
  agent: command.agent,
  environment: command.environment,
  service: command.service,
  release,
  deployment: command.deployment,
  command: command.id,
  index,
  image: imageOf(command),
  ...of
})

const imageOf = ({ body }: Command): string | null => ('spec' in body ? pinnedReference(body.image) : null)

/** Our labels over those of the spec, and no restart policy yet: the start gives it. */
export const ownRequest = (request: ContainerRequest, owner: Ownership): ContainerRequest => ({
  ...request,
  body: {
    ...request.body,
    Labels: { ...asRecord(request.body['Labels']), ...writeOwnLabels(owner) },
    HostConfig: {
      ...asRecord(request.body['HostConfig']),
      RestartPolicy: { Name: 'no', MaximumRetryCount: 0 }
    }
  }
})

/**
 * The same container made by another command: a revert.
 * @throws RangeError when the stored request carries no labels of ours
 */
export const reownRequest = (
  { request, restart }: ReleaseRecord['containers'][number],
  command: Command
): { owner: Ownership; request: ContainerRequest } => {
  const former = readOwnLabels(asRecord(request.body['Labels']) as Record<string, string>)
  if (former === null) throw new RangeError('a stored create request carries no labels of ours')
  const owner = {
    ...former,
    agent: command.agent,
    deployment: command.deployment,
    command: command.id,
    restart
  }
  return { owner, request: ownRequest(request, owner) }
}

const asRecord = (value: unknown): { [key: string]: unknown } =>
  typeof value === 'object' && value !== null ? { ...value } : {}
