// HAProxy as a container on the host's network, for an agent that is a container itself: it must outlive the agent's.
// Another image is started beside and takes over the listening sockets; the former one ends with its last client.
import { createHash } from 'node:crypto'
import { isNewEnough, readVersion } from '../../core/proxy/answers.ts'
import {
  type ProxyContainer,
  type ProxyContainerRequest,
  type ProxyContainers,
  proxyLabel
} from '../../proxy-containers.ts'
import { ProxyError } from '../../proxy-error.ts'
import { listStarts, type ProxyFiles } from './files.ts'
import type { ProxyLife } from './life.ts'
import { alertsOf } from './program.ts'
import { removeIfDead } from './socket.ts'

export type ContainerLifeParts = {
  engine: ProxyContainers
  image: string
  /** The folder of HAProxy as the host sees it. */
  hostFolder: string
}

/** Which start it was: `master-N.sock`. */
const startLabel = 'longshore.proxy-start'

export const containerLife =
  ({ engine, image, hostFolder }: ContainerLifeParts) =>
  (files: ProxyFiles): ProxyLife => {
    let known: { imageId: string; version: string } | undefined
    const folderHash = createHash('sha256').update(hostFolder).digest('hex').slice(0, 8)
    const list = (): Promise<ProxyContainer[]> => orError('list', () => engine.list(proxyLabel, hostFolder))
    const latestOf = (all: ProxyContainer[]): ProxyContainer | undefined =>
      all.filter(({ labels }) => startLabel in labels).sort((a, b) => startOf(b) - startOf(a))[0]
    const requestOf = (suffix: string, args: string[]): ProxyContainerRequest => ({
      name: `longshore-haproxy-${folderHash}-${suffix}`,
      image,
      arguments: args,
      labels: { [proxyLabel]: hostFolder },
      mount: { source: hostFolder, target: files.folder },
      isRestarted: false
    })
    /** Runs HAProxy once, for what it says. */
    const runOnce = async (args: string[]): Promise<{ exitCode: number; output: string }> => {
      const id = await engine.create(requestOf('check', args))
      try {
        await engine.start(id)
        return await engine.wait(id)
      } finally {
        await engine.remove(id)
      }
    }
    const version = async (): Promise<string> => {
      if (process.getuid?.() !== 0)
        throw new ProxyError(
          'proxy-missing',
          'HAProxy as a container shares files with the agent as root, and this agent is not root'
        )
      const imageId = await orError(`fetch ${image}`, () => engine.fetchImage(image), 'proxy-missing')
      if (known?.imageId === imageId) return known.version
      const { output } = await orError('start', () => runOnce(['-v']), 'proxy-missing')
      const found = readVersion(output)
      if (found === undefined || !isNewEnough(found))
        throw new ProxyError(
          'proxy-missing',
          `the image ${image} has ${found === undefined ? 'no HAProxy' : `HAProxy ${found}`}; 2.6 or newer is needed (LONGSHORE_PROXY_IMAGE)`
        )
      known = { imageId, version: found }
      return found
    }
    const start = async (isBeside: boolean): Promise<number> => {
      const starts = await listStarts(files)
      for (const one of starts) await removeIfDead(files.masterOf(one))
      const all = await list()
      const number = Math.max(0, ...starts, ...all.map(startOf)) + 1
      const sockets = ['-S', `${files.masterOf(number)},mode,600`]
      const takeOver = isBeside ? ['-x', files.admin] : []
      const request = requestOf(String(number), ['-W', '-db', ...sockets, '-f', files.config, ...takeOver])
      const labels = { ...request.labels, [startLabel]: String(number) }
      await engine.start(await engine.create({ ...request, labels, isRestarted: true }))
      return number
    }
    return {
      account: null,
      isReplacedByStart: true,
      version,
      look: async () => {},
      isCurrent: async () => {
        const latest = latestOf(await list())
        return latest === undefined || latest.imageId === (await engine.fetchImage(image))
      },
      check: async (configPath) => {
        const { exitCode, output } = await orError('start', () => runOnce(['-c', '-f', configPath]))
        if (exitCode !== 0)
          throw new ProxyError('proxy-error', `HAProxy refuses the configuration: ${alertsOf(output)}`)
      },
      start: ({ isBeside }) => orError('start', () => start(isBeside)),
      reload: () =>
        orError('signal', async () => {
          const latest = latestOf(await list())
          if (latest !== undefined) await engine.signal(latest.id, 'SIGUSR2')
        }),
      endOthers: () =>
        orError('end', async () => {
          const all = await list()
          const others = all.filter(({ id }) => id !== latestOf(all)?.id)
          for (const { id, isRunning } of others) {
            await engine.leaveEnded(id)
            await (isRunning ? engine.signal(id, 'SIGUSR1') : engine.remove(id))
          }
          return others.length
        })
    }
  }

const startOf = ({ labels }: ProxyContainer): number => Number(labels[startLabel] ?? 0)

const orError = async <T>(
  what: string,
  work: () => Promise<T>,
  code: 'proxy-error' | 'proxy-missing' = 'proxy-error'
): Promise<T> => {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof ProxyError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ProxyError(code, `HAProxy as a container (${what}): ${why}`, { cause })
  }
}
