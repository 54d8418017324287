// The agent as a container of the host's own engine, on the host's network, as Dockerfile.agent has it; the machine's
// node and its libraries are mounted instead of copied. And HAProxy as an image, for the container that the agent
// then runs beside itself.
import { readFileSync } from 'node:fs'
import { makeImage } from '../../../scripts/hosts/image.ts'
import { runCommand } from '../../../scripts/hosts/run-command.ts'
import type { TarEntry } from '../../../scripts/hosts/tar.ts'
import type { EngineClient, Host } from '../engine.ts'
import { loadImage } from '../images.ts'
import { machineVolumes } from './app-image.ts'
import type { LoadAgent } from './load-fleet.ts'

export const haproxyPath = '/usr/sbin/haproxy'
export const haproxyImage = 'haproxy:of-the-machine'
const [dataInside, socketInside] = ['/var/lib/longshore-agent', '/var/run/docker.sock']

/** Files and the folders above them, for a layer. */
const layerOf = (files: { path: string; content: Buffer; isExecutable: boolean }[]): TarEntry[] => {
  const folders = new Set<string>()
  for (const { path } of files)
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1))
      folders.add(path.slice(0, end + 1))
  return [
    ...[...folders].toSorted().map((path): TarEntry => ({ type: 'folder', path })),
    ...files.map((file): TarEntry => ({ type: 'file', ...file }))
  ]
}

/** The machine's own HAProxy with what it links to. @param program another file instead */
export const loadHaproxyImage = async (
  client: EngineClient,
  name = haproxyImage,
  program = haproxyPath
): Promise<void> => {
  const linked = await runCommand('ldd', [program])
  const libraries = [...linked.matchAll(/(?:=> |^\t)(\/\S+) \(0x/gm)].map(([, path]) => path ?? '')
  const read = (from: string, path = from) => ({
    path: path.slice(1),
    content: readFileSync(from),
    isExecutable: true
  })
  const files = [read(program, haproxyPath), ...libraries.map((path) => read(path))]
  const image = makeImage([layerOf(files)], {
    Entrypoint: [haproxyPath],
    Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin']
  })
  await loadImage(client, name, image)
}

export type BoxedOptions = {
  /** The bundle of the agent. */
  program: string
  /** Of the host; the agent sees it elsewhere. */
  dataFolder: string
  /** Of the host, with the certificates: mounted at its own path. */
  folder: string
  controllerUrl: string
  joinToken: string
  env: Record<string, string>
}

/** Starts it; HAProxy's image is there as well. It is gone with the engine. */
export const startBoxedAgent = async (host: Host, options: BoxedOptions): Promise<LoadAgent> => {
  const { client, socketPath } = host.engine
  await loadHaproxyImage(client)
  const content = readFileSync(options.program)
  await loadImage(
    client,
    'agent:1',
    makeImage([layerOf([{ path: 'app/agent.mjs', content, isExecutable: false }])], {
      Entrypoint: ['/node', '/app/agent.mjs']
    })
  )
  const env = {
    LONGSHORE_CONTROLLER_URL: options.controllerUrl,
    LONGSHORE_ALLOW_PLAINTEXT: '1',
    LONGSHORE_JOIN_TOKEN: options.joinToken,
    LONGSHORE_DATA_DIR: dataInside,
    LONGSHORE_HOST_DATA_DIR: options.dataFolder,
    LONGSHORE_HOST_NAME: host.name,
    LONGSHORE_PROXY: 'container',
    LONGSHORE_PROXY_IMAGE: haproxyImage,
    ...options.env
  }
  const create = async (more: Record<string, string>): Promise<void> => {
    await client.post('/containers/create?name=agent', {
      Image: 'agent:1',
      Env: Object.entries({ ...env, ...more }).map(([name, value]) => `${name}=${value}`),
      HostConfig: {
        NetworkMode: 'host',
        Binds: [
          ...machineVolumes,
          `${socketPath}:${socketInside}`,
          `${options.dataFolder}:${dataInside}`,
          `${options.folder}:${options.folder}:ro`
        ]
      }
    })
  }
  const start = async (): Promise<void> => {
    await client.post('/containers/agent/start')
  }
  await create({})
  await start()
  return {
    stop: () => client.post('/containers/agent/stop'),
    kill: () => client.post('/containers/agent/kill'),
    start,
    startWithHaproxy: async (program) => {
      await loadHaproxyImage(client, 'haproxy:other', program)
      // the environment belongs to the container
      await client.delete('/containers/agent?force=true')
      await create({ LONGSHORE_PROXY_IMAGE: 'haproxy:other' })
      await start()
    }
  }
}
