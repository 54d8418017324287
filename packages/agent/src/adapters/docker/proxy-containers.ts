// HAProxy's containers over the Docker Engine API: on the host's network, as root with the one right to bind low
// ports. What is started when is decided in adapters/haproxy.
import { digest, type ImageReference } from '@longshore/protocol'
import * as z from 'zod'
import { EngineError } from '../../engine-error.ts'
import type { Engine } from '../../ports.ts'
import type { ProxyContainerRequest, ProxyContainers } from '../../proxy-containers.ts'
import { type DockerClient, slowLimitMs } from './client.ts'
import { readLogFrames } from './log-frames.ts'

const pullLimitMs = 5 * 60_000
const noProgressMs = 30_000
const checkLimitMs = 60_000
const outputLines = 50

const listed = z.array(
  z.object({
    Id: z.string(),
    State: z.string(),
    ImageID: z.string(),
    Created: z.number(),
    Labels: z.record(z.string(), z.string()).nullish()
  })
)
const identified = z.object({ Id: z.string() })

export const createProxyContainers = (client: DockerClient, engine: Engine): ProxyContainers => {
  const container = async (id: string, action: string, query: Record<string, string> = {}, body = {}) => {
    const path = `/containers/${id}/${action}`
    await client.call({ method: 'POST', path, query, body, subject: 'container', limitMs: slowLimitMs })
  }
  return {
    list: async (label, value) => {
      const filters = JSON.stringify({ label: [`${label}=${value}`] })
      const query = { all: 'true', filters }
      const answer = await client.call({ method: 'GET', path: '/containers/json', query, subject: 'engine' })
      return listed
        .parse(answer)
        .sort((a, b) => b.Created - a.Created)
        .map(({ Id, State, ImageID, Labels }) => ({
          id: Id,
          isRunning: State === 'running',
          imageId: ImageID,
          labels: Labels ?? {}
        }))
    },
    fetchImage: (reference) => fetchImage(engine, reference),
    create: async (request) => {
      // what a crash left under the name; a repeated start has a number of its own
      await engine.removeContainer(request.name)
      const answer = await client.call({
        method: 'POST',
        path: '/containers/create',
        query: { name: request.name },
        body: createBody(request),
        subject: 'create',
        limitMs: slowLimitMs
      })
      return identified.parse(answer).Id
    },
    start: (id) => container(id, 'start'),
    signal: (id, name) => container(id, 'kill', { signal: name }),
    leaveEnded: (id) => container(id, 'update', {}, { RestartPolicy: { Name: 'no' } }),
    wait: async (id) => {
      const path = `/containers/${id}/wait`
      const ended = await client.call({ method: 'POST', path, subject: 'container', limitMs: checkLimitMs })
      const query = { stdout: 'true', stderr: 'true', tail: String(outputLines) }
      const log = { method: 'GET', path: `/containers/${id}/logs`, query, subject: 'container' } as const
      const lines = await readLogFrames(await client.open(log, AbortSignal.timeout(5_000)), outputLines)
      return {
        exitCode: z.object({ StatusCode: z.number() }).parse(ended).StatusCode,
        output: lines.join('\n')
      }
    },
    remove: (id) => engine.removeContainer(id)
  }
}

/** By its tag only where it is missing: another version comes when an operator pulls or names one. */
const fetchImage = async (engine: Engine, reference: string): Promise<string> => {
  const found = await engine.inspectImage(reference)
  if (found !== undefined) return found.id
  const image = readReference(reference)
  const pinned = image.digest ?? (await engine.resolveDigest(image, undefined))
  const { repository, tag } = image
  const signal = AbortSignal.timeout(pullLimitMs)
  await engine.pullImage({
    repository,
    digest: pinned,
    platform: null,
    isAnonymous: false,
    login: undefined,
    noProgressMs,
    signal,
    onProgress: () => {}
  })
  if (image.digest === null) await engine.tagImage(`${repository}@${pinned}`, repository, tag ?? 'latest')
  const pulled = await engine.inspectImage(reference)
  if (pulled === undefined) throw new EngineError('image-missing', `${reference} was pulled and is not there`)
  return pulled.id
}

/** The setting's schema has seen it. */
const readReference = (text: string): ImageReference => {
  const [name = '', pinned] = text.split('@')
  const colon = name.lastIndexOf(':')
  const hasTag = colon > name.lastIndexOf('/')
  return {
    repository: hasTag ? name.slice(0, colon) : name,
    tag: hasTag ? name.slice(colon + 1) : null,
    digest: pinned === undefined ? null : digest.parse(pinned)
  }
}

/** Root without rights but the one to bind low ports: sockets and files are root's, as the agent's are. */
const createBody = ({ image, arguments: args, labels, mount, isRestarted }: ProxyContainerRequest) => ({
  Image: image,
  Entrypoint: ['haproxy'],
  Cmd: args,
  User: '0:0',
  Labels: labels,
  StopSignal: 'SIGUSR1',
  HostConfig: {
    NetworkMode: 'host',
    Binds: [`${mount.source}:${mount.target}`],
    RestartPolicy: { Name: isRestarted ? 'always' : 'no' },
    CapDrop: ['ALL'],
    CapAdd: ['NET_BIND_SERVICE'],
    SecurityOpt: ['no-new-privileges']
  }
})
