// The Engine port over the Docker Engine API (docs.docker.com/reference/api/engine/). One method, one or two
// calls; what a run makes of the answers is decided elsewhere.
import { type Digest, digest, type ImageReference } from '@longshore/protocol'
import * as z from 'zod'
import type { RestartPolicy, SeenContainer } from '../../core/observation.ts'
import type { ListedImage } from '../../core/own-images.ts'
import { EngineError, isEngineError } from '../../engine-error.ts'
import type { Engine } from '../../ports.ts'
import { type DockerClient, findOrUndefined, slowLimitMs } from './client.ts'
import { askAs, type Credentials, type RegistryAuth } from './credentials.ts'
import { followLogFrames, readLogFrames } from './log-frames.ts'
import { pullImage } from './pull.ts'
import { listAnswer, readImage, readInspected, readListed } from './read.ts'

/** A registry that needs longer is as good as away. */
const resolveLimitMs = 30_000

/** @param ownContainer id of the container that the agent runs in, if any */
export const createEngine = (
  client: DockerClient,
  credentials: Credentials,
  ownContainer: string | null = null
): Engine => ({
  ping: () => client.negotiate(),
  ...containerCalls(client, ownContainer),
  ...imageCalls(client, credentials),
  hasNetwork: async (name) => {
    const path = `/networks/${encodeURIComponent(name)}`
    return (await findOrUndefined(client.call({ method: 'GET', path, subject: 'network' }))) !== undefined
  },
  listNetworks: async () => {
    const answer = await client.call({ method: 'GET', path: '/networks', subject: 'network' })
    return networkList.parse(answer).map(({ Name, IPAM }) => ({
      name: Name,
      subnets: (IPAM?.Config ?? []).flatMap((one) => one.Subnet ?? [])
    }))
  },
  createNetwork: async (name, labels, fixed) => {
    const ipam = fixed && { IPAM: { Config: [{ Subnet: fixed.subnet, Gateway: fixed.gateway }] } }
    const body = { Name: name, Driver: 'bridge', CheckDuplicate: true, Labels: labels, ...ipam }
    await client.call({
      method: 'POST',
      path: '/networks/create',
      body,
      subject: 'network',
      limitMs: slowLimitMs
    })
  },
  dataDirectory: async () => {
    const answer = await client.call({ method: 'GET', path: '/info', subject: 'engine' })
    return z.object({ DockerRootDir: z.string() }).parse(answer).DockerRootDir
  }
})

const networkList = z.array(
  z.object({
    Name: z.string(),
    IPAM: z.object({ Config: z.array(z.object({ Subnet: z.string().nullish() })).nullish() }).nullish()
  })
)

type ContainerCalls = Pick<
  Engine,
  | 'listContainers'
  | 'inspectContainer'
  | 'createContainer'
  | 'joinNetworks'
  | 'startContainer'
  | 'stopContainer'
  | 'removeContainer'
  | 'renameContainer'
  | 'setRestartPolicy'
  | 'readLog'
  | 'followLog'
>

const containerCalls = (client: DockerClient, ownContainer: string | null): ContainerCalls => ({
  listContainers: async (needsPolicy) => {
    const all = await listContainers(client, needsPolicy)
    return all.map((one) => (one.id === ownContainer ? { ...one, isOfAgent: true } : one))
  },
  inspectContainer: async (idOrName) => {
    const request = { method: 'GET', path: `/containers/${encodeURIComponent(idOrName)}/json` } as const
    const answer = await findOrUndefined(client.call({ ...request, subject: 'container' }))
    return answer === undefined ? undefined : readInspected(answer)
  },
  createContainer: async (name, { body, platform }) => {
    const query = platform == null ? { name } : { name, platform }
    const request = { method: 'POST', path: '/containers/create', query, body, subject: 'create' } as const
    const { Id } = created.parse(await client.call({ ...request, limitMs: slowLimitMs }))
    return Id
  },
  joinNetworks: async (id, joins) => {
    for (const { network, endpoint } of joins) await joinNetwork(client, id, network, endpoint)
  },
  startContainer: async (id) => {
    await client.call({
      method: 'POST',
      path: `/containers/${id}/start`,
      subject: 'start',
      limitMs: slowLimitMs
    })
  },
  stopContainer: async (id, graceMs) => {
    const query = { t: String(Math.ceil(graceMs / 1000)) }
    const limitMs = graceMs + slowLimitMs
    const path = `/containers/${id}/stop`
    await findOrUndefined(client.call({ method: 'POST', path, query, subject: 'container', limitMs }))
  },
  removeContainer: async (id, options) => {
    const query = { v: String(options?.keepsVolumes !== true), force: 'true' }
    const request = { method: 'DELETE', path: `/containers/${id}`, query, subject: 'container' } as const
    await findOrUndefined(client.call({ ...request, limitMs: slowLimitMs }))
  },
  renameContainer: async (id, name) => {
    await client.call({
      method: 'POST',
      path: `/containers/${id}/rename`,
      query: { name },
      subject: 'rename'
    })
  },
  setRestartPolicy: async (id, policy) => {
    const body = { RestartPolicy: writePolicy(policy) }
    await client.call({ method: 'POST', path: `/containers/${id}/update`, body, subject: 'container' })
  },
  readLog: async (id, lines) => {
    const query = { stdout: 'true', stderr: 'true', tail: String(lines) }
    const stream = await client.open(
      { method: 'GET', path: `/containers/${id}/logs`, query, subject: 'container' },
      AbortSignal.timeout(logLimitMs)
    )
    return readLogFrames(stream, lines)
  },
  followLog: async (id, { isFromStart, signal }, tell) => {
    const tail = isFromStart ? 'all' : '0'
    const query = { stdout: 'true', stderr: 'true', follow: 'true', tail }
    const request = { method: 'GET', path: `/containers/${id}/logs`, query, subject: 'container' } as const
    try {
      await followLogFrames(await client.open(request, signal), tell)
    } catch {
      // The stream broke off: what was told, was told; the end of the container is found without it.
    }
  }
})

const logLimitMs = 5_000
const created = z.object({ Id: z.string() })

const listContainers = async (
  client: DockerClient,
  needsPolicy: ((one: SeenContainer) => boolean) | undefined
): Promise<SeenContainer[]> => {
  const answer = await client.call({
    method: 'GET',
    path: '/containers/json',
    query: { all: 'true' },
    subject: 'engine'
  })
  const all = listAnswer.parse(answer).map(readListed)
  if (needsPolicy === undefined) return all
  const looked = await Promise.all(
    all.map(async (one) => {
      if (!needsPolicy(one)) return [one]
      const path = `/containers/${one.id}/json`
      const inspected = await findOrUndefined(client.call({ method: 'GET', path, subject: 'container' }))
      // Gone between the two calls.
      if (inspected === undefined) return []
      const { restart, health, state } = readInspected(inspected)
      return [{ ...one, restart, health, state }]
    })
  )
  return looked.flat()
}

/** Recognises by text that the network was joined before a crash: 403 has other meanings (Engine 20.10). */
const joinNetwork = async (
  client: DockerClient,
  id: string,
  network: string,
  endpoint: { [key: string]: unknown }
): Promise<void> => {
  const path = `/networks/${encodeURIComponent(network)}/connect`
  const body = { Container: id, EndpointConfig: endpoint }
  try {
    await client.call({ method: 'POST', path, body, subject: 'network' })
  } catch (error) {
    const isJoined = error instanceof EngineError && error.message.includes('already exists in network')
    if (!isJoined) throw error
  }
}

const writePolicy = (policy: RestartPolicy) => ({
  Name: policy.name,
  MaximumRetryCount: policy.name === 'on-failure' ? policy.maxRetries : 0
})

type ImageCalls = Pick<
  Engine,
  'inspectImage' | 'listTags' | 'listImages' | 'pullImage' | 'tagImage' | 'removeImage' | 'resolveDigest'
>

const imageCalls = (client: DockerClient, credentials: Credentials): ImageCalls => ({
  inspectImage: async (reference) => {
    const answer = await findOrUndefined(
      client.call({ method: 'GET', path: `/images/${reference}/json`, subject: 'image' })
    )
    return answer === undefined ? undefined : readImage(answer)
  },
  listTags: async (repository) => {
    const filters = JSON.stringify({ reference: [repository] })
    const names = (await listImages(client, { filters })).flatMap((one) => one.repoTags)
    return names
      .filter((name) => name.startsWith(`${repository}:`))
      .map((name) => name.slice(repository.length + 1))
  },
  listImages: () => listImages(client, {}),
  pullImage: (request) =>
    request.isAnonymous
      ? pullImage(client, undefined, request)
      : askAs(credentials, request, (auth) => pullImage(client, auth, request)),
  tagImage: async (reference, repository, tag) => {
    const query = { repo: repository, tag }
    await client.call({ method: 'POST', path: `/images/${reference}/tag`, query, subject: 'image' })
  },
  removeImage: async (reference) => {
    await client.call({
      method: 'DELETE',
      path: `/images/${reference}`,
      subject: 'image',
      limitMs: slowLimitMs
    })
  },
  resolveDigest: (image, login, limitMs) =>
    askAs(credentials, { repository: image.repository, login }, (auth) =>
      resolveDigest(client, auth, image, limitMs ?? resolveLimitMs)
    )
})

const imageList = z.array(
  z.object({
    Id: z.string(),
    RepoTags: z.array(z.string()).nullish(),
    RepoDigests: z.array(z.string()).nullish(),
    Size: z.number().catch(0)
  })
)

const listImages = async (client: DockerClient, query: Record<string, string>): Promise<ListedImage[]> => {
  const answer = await client.call({ method: 'GET', path: '/images/json', query, subject: 'engine' })
  return imageList.parse(answer).map(({ Id, RepoTags, RepoDigests, Size }) => ({
    id: Id,
    repoTags: RepoTags ?? [],
    repoDigests: RepoDigests ?? [],
    sizeBytes: Size
  }))
}
const distribution = z.object({ Descriptor: z.object({ digest }) })

const resolveDigest = async (
  client: DockerClient,
  registryAuth: RegistryAuth,
  image: ImageReference,
  limitMs: number
): Promise<Digest> => {
  const name = `${image.repository}:${image.tag ?? 'latest'}`
  try {
    const path = `/distribution/${name}/json`
    const answer = await client.call({
      method: 'GET',
      path,
      subject: 'registry',
      limitMs,
      registryAuth
    })
    return distribution.parse(answer).Descriptor.digest
  } catch (error) {
    if (isEngineError(error, 'timed-out'))
      throw new EngineError('registry-unavailable', `the registry of ${name} did not answer in ${limitMs} ms`)
    if (error instanceof EngineError)
      throw new EngineError(error.code, `${resolveWords(error)} ${name}: ${error.message}`)
    throw error
  }
}

const resolveWords = (error: EngineError): string => {
  switch (error.code) {
    case 'image-missing':
      return 'no such image:'
    case 'registry-denied':
      return 'the registry does not let this host in for'
    case 'registry-unavailable':
      return 'the registry cannot be asked for'
    default:
      return 'the engine could not look up'
  }
}
