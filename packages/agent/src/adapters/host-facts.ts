// What the agent says about its host: facts measured at start, and load and disk measured whenever asked.
import { readFile, statfs } from 'node:fs/promises'
import os from 'node:os'
import type { Facts } from '@longshore/protocol'
import * as z from 'zod'
import type { Usage } from '../inventory.ts'
import type { HttpAnswer } from '../link.ts'

/** GET /version, https://docs.docker.com/reference/api/engine/version/v1.41/#tag/System */
const engineVersion = z.object({ Version: z.string(), ApiVersion: z.string() })
/** GET /info; `driver-type` is there only with the containerd image store. */
const engineInfo = z.object({
  DockerRootDir: z.string().optional(),
  DriverStatus: z.array(z.array(z.string())).nullish()
})

/** @param dataRoot the engine's data directory, null when it did not say */
export type MeasuredFacts = { facts: Facts; dataRoot: string | null }
export type AskEngine = (path: string) => Promise<HttpAnswer>

/** Never rejects: an engine that does not answer is a fact. */
export const measureFacts = async (askEngine: AskEngine): Promise<MeasuredFacts> => {
  const [version, info, system] = await Promise.all([
    askFor(askEngine, '/version', engineVersion),
    askFor(askEngine, '/info', engineInfo),
    describeSystem()
  ])
  return {
    facts: {
      os: system.slice(0, 128),
      kernel: os.release().slice(0, 128),
      architecture: os.arch(),
      engineVersion: version?.Version.slice(0, 64) ?? null,
      engineApiVersion: version?.ApiVersion.slice(0, 16) ?? null,
      imageStore: info === null ? null : imageStoreOf(info),
      cpus: os.availableParallelism(),
      memoryBytes: os.totalmem()
    },
    dataRoot: info?.DockerRootDir ?? null
  }
}

/** @param dirs the first that can be measured counts: the engine's data root may be hidden from a container */
export const measureUsage = async (dirs: readonly string[]): Promise<Usage> => {
  const disk = await measureDisk(dirs)
  return {
    diskFreeBytes: disk === null ? null : disk.bavail * disk.bsize,
    diskTotalBytes: disk === null ? null : disk.blocks * disk.bsize,
    load: os.loadavg()[0] ?? null,
    memoryFreeBytes: os.freemem()
  }
}

const measureDisk = async (
  dirs: readonly string[]
): Promise<{ bavail: number; blocks: number; bsize: number } | null> => {
  for (const dir of dirs) {
    const found = await statfs(dir).catch(() => null)
    if (found !== null) return found
  }
  return null
}

const askFor = async <S extends z.ZodType>(
  ask: AskEngine,
  path: string,
  schema: S
): Promise<z.infer<S> | null> => {
  try {
    const answer = await ask(path)
    return schema.parse(JSON.parse(answer.body))
  } catch {
    return null
  }
}

const imageStoreOf = (info: z.infer<typeof engineInfo>): 'classic' | 'containerd' =>
  info.DriverStatus?.some(([name, value]) => name === 'driver-type' && value?.startsWith('io.containerd.'))
    ? 'containerd'
    : 'classic'

/** os-release(5): the distribution's own name; the kernel's where there is none. */
const describeSystem = async (): Promise<string> => {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '')
  return /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(text)?.[1] ?? os.type()
}
