// What a whole `longshore deploy` costs over the Engine API calls that it cannot avoid: the same engine, image
// contents and options, both in turns, medians. The health rule is in both; `monitor` is 0.
import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { makeWebImage, webPort } from '../scripts/hosts/web-image.ts'
import { type Installation, withInstallation } from './installation.ts'
import { measureMs, median } from './measure.ts'
import { stageDirectly, switchOver } from './switch-directly.ts'

const rounds = Number(process.argv[2] ?? 9)

const run = async ({ folder, hosts: [host], registry, controller }: Installation): Promise<void> => {
  if (host === undefined) throw new Error('no host')
  const file = join(folder, 'web.json')
  const web = {
    image: `${registry.name}/web`,
    ports: [`80:${webPort}`],
    restart: 'always',
    deploy: { update_config: { monitor: '0s' } }
  }
  writeFileSync(file, JSON.stringify({ services: { web } }))
  await controller.cli('apply', '-f', file, '--env', 'bench')
  const [direct, whole, start]: [number[], number[], number[]] = [[], [], []]
  for (let round = 0; round <= rounds; round++) {
    const tag = `v${round}`
    await registry.push('web', tag, makeWebImage(`longshore ${tag}`))
    await registry.push('direct', tag, makeWebImage(`direct ${tag}`))
    const directMs = await measureMs(async () => {
      const image = await stageDirectly(host.engine.client, `${registry.name}/direct`, tag)
      await switchOver(host.engine.client, image, tag)
    })
    const wholeMs = await measureMs(async () => {
      const { exitCode, stderr } = await controller.cli('deploy', 'web', '--env', 'bench', '--tag', tag)
      if (exitCode !== 0) throw new Error(stderr)
    })
    const startMs = await measureMs(() => controller.cli('version'))
    // The first of each has no old container to stop.
    if (round === 0) continue
    direct.push(directMs)
    whole.push(wholeMs)
    start.push(startMs)
  }
  const [a, b] = [median(direct), median(whole)]
  console.log(`medians of ${rounds} rounds, load average ${loadavg()[0]?.toFixed(1)}`)
  console.log(`Engine API directly  ${a.toFixed(0)} ms`)
  console.log(`longshore deploy     ${b.toFixed(0)} ms`)
  console.log(`ratio ${(b / a).toFixed(2)}, difference ${(b - a).toFixed(0)} ms`)
  console.log(`of which the start of the CLI (longshore version) ${median(start).toFixed(0)} ms`)
}

await withInstallation(['bench'], run)
