// How long three hosts need to have an image, all at once, and how many bytes move: pulled by their engines alone from
// the registry, staged from the registry, staged from the controller through the agents' doors, and after a push of the
// one layer that changed. Each time another image of the same size; the registry is on the same machine.
import { randomBytes } from 'node:crypto'
import { statSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { type Image, makeImage, pullImage, savedArchive } from '../scripts/hosts/image.ts'
import { type Installation, withInstallation } from './installation.ts'
import { measureMs, median } from './measure.ts'

const rounds = Number(process.argv[2] ?? 3)
const megabyte = 1024 * 1024
const layerBytes = 10 * megabyte
const layerCount = 10
const hostCount = 3

type Layer = Parameters<typeof makeImage>[0][number]
type Step = { step: string; startedMs: number; endedMs: number }
type Ended = { deployment: { outcome: string; reason: string; targets: { steps?: Step[] }[] } }
type Pushed = { blobs: { sentBytes: number } }

const makeLayer = (): Layer => [
  { type: 'file', path: `data-${randomBytes(4).toString('hex')}`, content: randomBytes(layerBytes) }
]
const imageOf = (layers: readonly Layer[]): Image => makeImage(layers, { Cmd: ['/none'] })

class Bench {
  readonly #parts: Installation

  constructor(parts: Installation) {
    this.#parts = parts
  }

  async apply(source: 'registry' | 'artifact'): Promise<void> {
    const { controller, folder, registry } = this.#parts
    const file = join(folder, `${source}.json`)
    const service = { image: `${registry.name}/app`, 'x-longshore': { sources: [source] } }
    writeFileSync(file, JSON.stringify({ services: { app: service } }))
    const { exitCode, stderr } = await controller.cli('apply', '-f', file, '--env', 'bench')
    if (exitCode !== 0) throw new Error(stderr)
  }

  /** Until the last host has it. The image has nothing to run: the deployment fails after its staging, as it must. */
  async stageMs(tag: string): Promise<number> {
    const { controller } = this.#parts
    const args = ['deploy', 'app', '--env', 'bench', '--tag', tag, '--output', 'ndjson']
    const { stdout } = await controller.cli(...args)
    const line = stdout.split('\n').find((text) => text.startsWith('{"type":"ended"'))
    const { deployment } = JSON.parse(line ?? '{}') as Ended
    const fetches = deployment.targets.map(({ steps = [] }) =>
      steps.find(({ step }) => step === 'fetch-image')
    )
    if (fetches.length !== hostCount || fetches.some((one) => one === undefined))
      throw new Error(`not staged: ${deployment.outcome}, ${deployment.reason}`)
    return Math.max(...fetches.map((one) => (one?.endedMs ?? 0) - (one?.startedMs ?? 0)))
  }

  async push(tag: string, image: Image): Promise<{ ms: number; sentBytes: number; archiveBytes: number }> {
    const { controller, folder, registry } = this.#parts
    const file = join(folder, `${tag}.tar`)
    writeFileSync(file, savedArchive(`${registry.name}/app:${tag}`, image))
    let pushed: Pushed | undefined
    const ms = await measureMs(async () => {
      const { exitCode, document, stderr } = await controller.cliJson<Pushed>('push', '--archive', file)
      if (exitCode !== 0) throw new Error(stderr)
      pushed = document
    })
    return { ms, sentBytes: pushed?.blobs.sentBytes ?? 0, archiveBytes: statSync(file).size }
  }

  async pullMs(tag: string): Promise<number> {
    const { hosts, registry } = this.#parts
    return measureMs(() =>
      Promise.all(hosts.map(({ engine }) => pullImage(engine.client, `${registry.name}/app`, tag)))
    )
  }
}

const inMegabytes = (bytes: number): string => `${(bytes / megabyte).toFixed(1)} MiB`

const run = async (parts: Installation): Promise<void> => {
  const bench = new Bench(parts)
  const times = { plain: [] as number[], registry: [] as number[], tunnel: [] as number[] }
  const changed = { push: [] as number[], stage: [] as number[], sent: [] as number[] }
  let whole = { ms: 0, sentBytes: 0, archiveBytes: 0 }
  for (let round = 0; round < rounds; round++) {
    const layers = Array.from({ length: layerCount }, makeLayer)
    for (const kind of ['plain', 'staged'] as const)
      await parts.registry.push('app', `${kind}${round}`, imageOf(layers.map(makeLayer)))
    times.plain.push(await bench.pullMs(`plain${round}`))
    await bench.apply('registry')
    times.registry.push(await bench.stageMs(`staged${round}`))
    await bench.apply('artifact')
    whole = await bench.push(`tunnel${round}`, imageOf(layers))
    times.tunnel.push(await bench.stageMs(`tunnel${round}`))
    const next = await bench.push(`next${round}`, imageOf([...layers.slice(0, -1), makeLayer()]))
    changed.push.push(next.ms)
    changed.sent.push(next.sentBytes)
    changed.stage.push(await bench.stageMs(`next${round}`))
  }
  const plain = median(times.plain)
  const row = (name: string, ms: number): string =>
    `${name.padEnd(46)} ${ms.toFixed(0).padStart(6)} ms, ratio ${(ms / plain).toFixed(2)}`
  console.log(
    [
      `${hostCount} hosts, ${layerCount} layers of ${inMegabytes(layerBytes)}, medians of ${rounds} rounds, load average ${loadavg()[0]?.toFixed(1)}`,
      row('docker pull from the registry', plain),
      row('staged from the registry', median(times.registry)),
      row('staged through the tunnel', median(times.tunnel)),
      row('staged through the tunnel, one layer is new', median(changed.stage)),
      `push of all layers: ${whole.ms.toFixed(0)} ms, ${inMegabytes(whole.sentBytes)} of ${inMegabytes(whole.archiveBytes)}`,
      `push of one new layer: ${median(changed.push).toFixed(0)} ms, ${inMegabytes(median(changed.sent))}`
    ].join('\n')
  )
}

await withInstallation(
  Array.from({ length: hostCount }, () => 'bench'),
  run
)
