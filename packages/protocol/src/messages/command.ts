// `command` (down): one signed instruction to one agent. The command itself is a JWS by the controller (typ
// `longshore-command+jws`), kept as evidence; this message only carries it. Its claims are strict: a field that
// the agent does not know inside a signed body is refused, never ignored.
import * as z from 'zod'
import {
  agentId,
  commandId,
  deploymentId,
  digest,
  environmentName,
  installationId,
  releaseNumber,
  serviceName
} from '../ids.ts'
import { imageSources, registrySource } from '../image-source.ts'
import {
  maxCommandBytes,
  maxCredentialChars,
  maxImageContents,
  maxImageLayers,
  maxImageSources,
  maxInventoryContainers,
  maxRegistryNameChars,
  maxSourceDetailChars
} from '../limits.ts'
import { imageReference, serviceSpec } from '../spec/service-spec.ts'

/** To log in to one registry for this command, encrypted to the agent: see registry-login.ts. */
export const commandCredential = z.object({
  /** As registry-name.ts has it. */
  registry: z.string().max(maxRegistryNameChars),
  /** null: there should be credentials, and the controller has none to give. */
  jwe: z.string().max(maxCredentialChars).nullable(),
  /** Why, in one sentence. */
  problem: z.string().max(maxSourceDetailChars).nullable()
})
export type CommandCredential = z.infer<typeof commandCredential>

export const commandMessage = z.object({
  type: z.literal('command'),
  jws: z.string().max(maxCommandBytes),
  /** Beside the command, because that is kept. Left out where there are none; older agents ignore it. */
  credentials: z.array(commandCredential).max(maxImageSources).optional()
})
export type CommandMessage = z.infer<typeof commandMessage>

/** (generation, epoch, index), compared in that order per service and environment. */
export const fence = z.strictObject({
  /** Grows with each deployment of the service. */
  generation: z.int().min(0),
  /** Grows with each take-over of the deployment by another controller. */
  epoch: z.int().min(0),
  /** Grows with each command of the deployment to the host. */
  index: z.int().min(0)
})
export type Fence = z.infer<typeof fence>

/** Negative: a is older. Zero: the same. */
export const compareFences = (a: Fence, b: Fence): number =>
  a.generation - b.generation || a.epoch - b.epoch || a.index - b.index

/** An image by content: the digest that its tag resolved to. */
export const pinnedImage = z.strictObject({
  repository: z.string().min(1).max(512),
  tag: z.string().max(128).nullable(),
  digest
})
export type PinnedImage = z.infer<typeof pinnedImage>

/** In the order in which they are tried. Older controllers say nothing, and mean the registry. */
const sources = imageSources.default([registrySource])

/** What an image is on one platform: the same from every source, under whatever manifest digest. */
export const imageContent = z.strictObject({
  platform: z.string().max(64),
  /** Of its configuration. */
  config: digest,
  /** Of its unpacked layers, in order. */
  diffIds: z.array(digest).max(maxImageLayers)
})
export type ImageContent = z.infer<typeof imageContent>

/** Asks the host's engine, with the host's credentials, which digest a tag has now. Changes nothing. */
export const resolveBody = z.strictObject({ kind: z.literal('resolve'), image: imageReference, sources })

/** Checks and fetches everything that the release will need; stops nothing. */
export const stageBody = z.strictObject({
  kind: z.literal('stage'),
  release: releaseNumber,
  image: pinnedImage,
  spec: serviceSpec,
  /** An unmanaged container by this name may be taken over. */
  replace: z.string().max(255).nullable(),
  sources,
  /** What the digest names, where the controller knows it: a source that has it under another digest serves as well. */
  contents: z.array(imageContent).max(maxImageContents).default([])
})

/** Switches the host to the release. Undoes itself when it fails or is cancelled. */
export const releaseBody = z.strictObject({
  kind: z.literal('release'),
  release: releaseNumber,
  image: pinnedImage,
  spec: serviceSpec,
  replace: z.string().max(255).nullable(),
  /** Switch although the host already runs exactly this release. */
  recreate: z.boolean(),
  /**
   * The host is a canary: new and former containers share the traffic while they are compared, and by so much may the
   * share of failed requests of the new ones be higher. null: not compared.
   */
  canaryMaxErrorRatio: z.number().min(0).max(1).nullable().default(null)
})

/** Goes back from `from` to `to`, from kept containers or, if they are gone, from the journal. */
export const revertBody = z.strictObject({
  kind: z.literal('revert'),
  from: releaseNumber,
  to: releaseNumber
})

/** Removes what was kept for a revert of `release`, and images beyond `keepImages`. */
export const settleBody = z.strictObject({
  kind: z.literal('settle'),
  release: releaseNumber,
  keepImages: z.int().min(0).max(100)
})

/** Docker's id of a container, in full or its first twelve characters. */
export const containerId = z.string().regex(/^[0-9a-f]{12,64}$/)

/** Removes the service's own containers: of one release, or all of them. */
export const removeBody = z.strictObject({
  kind: z.literal('remove'),
  release: releaseNumber.nullable(),
  /** Only these, each confirmed by the controller; null: all. Strangers among them are left alone. */
  containers: z.array(containerId).max(maxInventoryContainers).nullable().default(null)
})

/** What `stage` and `release` would do and refuse now. Only looks: fetches nothing, changes nothing. */
export const planBody = z.strictObject({
  kind: z.literal('plan'),
  release: releaseNumber,
  image: pinnedImage,
  spec: serviceSpec,
  replace: z.string().max(255).nullable(),
  recreate: z.boolean(),
  sources
})

/** Runs a command in a container of its own, never twice. `timeLimitMs` of the command ends it. */
export const runOnceBody = z.strictObject({
  kind: z.literal('run-once'),
  release: releaseNumber,
  image: pinnedImage,
  spec: serviceSpec,
  /** In place of the spec's own command; the entrypoint stays. */
  command: z.array(z.string().max(8192)).min(1).max(500)
})

/** Starts the release beside what serves, on free ports, until it is healthy, and removes it again. */
export const rehearseBody = z.strictObject({
  kind: z.literal('rehearse'),
  release: releaseNumber,
  image: pinnedImage,
  spec: serviceSpec,
  replace: z.string().max(255).nullable()
})

/** The agent itself: takes its program out of the image, tries it, and leaves to it; or stays and says why. */
export const upgradeBody = z.strictObject({
  kind: z.literal('upgrade'),
  /** Counts the upgrades of the environment. */
  release: releaseNumber,
  image: pinnedImage,
  sources
})

export const commandBody = z.discriminatedUnion('kind', [
  resolveBody,
  stageBody,
  releaseBody,
  revertBody,
  settleBody,
  removeBody,
  planBody,
  runOnceBody,
  rehearseBody,
  upgradeBody
])
export type CommandBody = z.infer<typeof commandBody>
/** As it is sent: what has its default may be left out. */
export type WrittenBody = z.input<typeof commandBody>
export type CommandKind = CommandBody['kind']
export type ResolveBody = z.infer<typeof resolveBody>
export type StageBody = z.infer<typeof stageBody>
export type ReleaseBody = z.infer<typeof releaseBody>
export type RevertBody = z.infer<typeof revertBody>
export type SettleBody = z.infer<typeof settleBody>
export type RemoveBody = z.infer<typeof removeBody>
export type PlanBody = z.infer<typeof planBody>
export type RunOnceBody = z.infer<typeof runOnceBody>
export type RehearseBody = z.infer<typeof rehearseBody>
export type UpgradeBody = z.infer<typeof upgradeBody>

/** In the place of a service's name, in commands for the agent itself; no service may have it. */
export const agentService = serviceName.parse('longshore-agent')

/** What an agent can do, as its assertion says: kinds of commands, and what not every agent can do within them. */
export type Capability =
  | CommandKind
  | 'remove-containers'
  | 'start-first'
  | 'sources'
  | 'registry-credentials'
  | 'logs'
export const agentCapabilities: readonly Capability[] = [
  ...commandBody.options.map((option) => option.shape.kind.value),
  'remove-containers',
  'start-first',
  'sources',
  'registry-credentials',
  'logs'
]

/** All that an agent has to be able to do for this command. */
export const capabilitiesFor = (body: WrittenBody): Capability[] => {
  const needs: Capability[] = [body.kind]
  if (body.kind === 'remove' && (body.containers ?? null) !== null) needs.push('remove-containers')
  if ('spec' in body && isStartFirst(body.spec)) needs.push('start-first')
  if ('sources' in body && body.sources !== undefined) needs.push('sources')
  return needs
}

const isStartFirst = ({ routing, update }: z.input<typeof serviceSpec>): boolean =>
  (routing ?? null) !== null || update.order === 'start-first'

/** Kinds that only look: they neither raise the fence of the service nor are stopped by it, and run beside its runs. */
export const isLook = (kind: Capability): kind is 'resolve' | 'plan' => kind === 'resolve' || kind === 'plan'

export const command = z.strictObject({
  id: commandId,
  installation: installationId,
  agent: agentId,
  environment: environmentName,
  service: serviceName,
  deployment: deploymentId,
  fence,
  /** Controller time, milliseconds since the epoch; judged with the session's clock, not the host's. */
  notAfterMs: z.int().min(0),
  /** Longest time the run may take once begun. */
  timeLimitMs: z.int().min(1),
  body: commandBody
})
export type Command = z.infer<typeof command>
export type WrittenCommand = Omit<Command, 'body'> & { body: WrittenBody }
