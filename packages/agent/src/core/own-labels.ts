// The labels by which our containers are found again after any crash: written at creation, read back from
// whatever Docker lists. A container whose labels do not parse is a stranger's.
import {
  agentId,
  commandId,
  deploymentId,
  environmentName,
  installationId,
  releaseNumber,
  serviceName
} from '@longshore/protocol'
import * as z from 'zod'
import type { Ownership } from './observation.ts'

const number = z
  .string()
  .regex(/^\d{1,10}$/)
  .transform(Number)

const ownership = z.object({
  installation: installationId,
  agent: agentId,
  environment: environmentName,
  service: serviceName,
  release: number.pipe(releaseNumber),
  deployment: deploymentId,
  command: commandId,
  index: number,
  specHash: z.string().max(128)
})

/** Key of the label -> value, as `POST /containers/create` takes them. */
export const writeOwnLabels = (owner: Ownership): Record<string, string> => ({
  'longshore.installation': owner.installation,
  'longshore.agent': owner.agent,
  'longshore.environment': owner.environment,
  'longshore.service': owner.service,
  'longshore.release': String(owner.release),
  'longshore.deployment': owner.deployment,
  'longshore.command': owner.command,
  'longshore.index': String(owner.index),
  'longshore.spec-hash': owner.specHash
})

/** @returns null when the labels are not ours or not complete */
export const readOwnLabels = (labels: Readonly<Record<string, string>>): Ownership | null => {
  if (labels['longshore.installation'] === undefined) return null
  const read = ownership.safeParse({
    installation: labels['longshore.installation'],
    agent: labels['longshore.agent'],
    environment: labels['longshore.environment'],
    service: labels['longshore.service'],
    release: labels['longshore.release'],
    deployment: labels['longshore.deployment'],
    command: labels['longshore.command'],
    index: labels['longshore.index'],
    specHash: labels['longshore.spec-hash']
  })
  return read.success ? read.data : null
}
