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
import type { Ownership, RestartPolicy } from './observation.ts'

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
  specHash: z.string().max(128),
  // a purpose that only a later agent knows makes it a stranger's: nothing here touches it
  purpose: z.enum(['serving', 'once', 'rehearsal']).default('serving'),
  restart: z
    .string()
    .optional()
    .transform((text) => readRestart(text ?? '')),
  image: z
    .string()
    .max(1024)
    .optional()
    .transform((text) => text ?? null)
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
  'longshore.spec-hash': owner.specHash,
  'longshore.purpose': owner.purpose,
  ...(owner.restart && { 'longshore.restart': writeRestart(owner.restart) }),
  ...(owner.image !== null && { 'longshore.image': owner.image })
})

/** As `restart` in a service file: `on-failure:3`. */
export const writeRestart = ({ name, maxRetries }: RestartPolicy): string =>
  name === 'on-failure' && maxRetries > 0 ? `${name}:${maxRetries}` : name

/** @returns null when it is no restart policy */
const readRestart = (text: string): RestartPolicy | null => {
  const [, name, retries] = /^(no|always|on-failure|unless-stopped)(?::(\d{1,6}))?$/.exec(text) ?? []
  if (name === undefined) return null
  return { name: name as RestartPolicy['name'], maxRetries: Number(retries ?? 0) }
}

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
    specHash: labels['longshore.spec-hash'],
    purpose: labels['longshore.purpose'],
    restart: labels['longshore.restart'],
    image: labels['longshore.image']
  })
  return read.success ? read.data : null
}
