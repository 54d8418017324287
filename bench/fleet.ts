// How long the hosts of a fleet take to switch, from the moment the controller accepted the request until the last
// one is healthy on the new release: 1 and 3 real engines, against a script that makes the Engine API calls that
// cannot be avoided, in turns: every host stages at once, then one after the other switches. `monitor` is 0.
import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { makeWebImage, webPort } from '../scripts/hosts/web-image.ts'
import { type Installation, withInstallation } from './installation.ts'
import { measureMs, median } from './measure.ts'
import { stageDirectly, switchOver } from './switch-directly.ts'

const rounds = Number(process.argv[2] ?? 5)
const hostCount = 3

const run = async ({ folder, hosts, registry, controller }: Installation): Promise<void> => {
  const file = join(folder, 'web.json')
  const web = {
    image: `${registry.name}/web`,
    ports: [`80:${webPort}`],
    restart: 'always',
    deploy: { update_config: { monitor: '0s' } }
  }
  writeFileSync(file, JSON.stringify({ services: { web } }))
  const fleets = [
    { environment: 'one', engines: hosts.slice(0, 1) },
    { environment: 'more', engines: hosts.slice(1) }
  ]
  for (const { environment, engines } of fleets) {
    await controller.cli('apply', '-f', file, '--env', environment)
    const [direct, whole]: [number[], number[]] = [[], []]
    for (let round = 0; round <= rounds; round++) {
      const tag = `${environment}${round}`
      await registry.push('web', tag, makeWebImage(`longshore ${tag}`))
      await registry.push('direct', tag, makeWebImage(`direct ${tag}`))
      const directMs = await measureMs(async () => {
        const staged = await Promise.all(
          engines.map(({ engine }) => stageDirectly(engine.client, `${registry.name}/direct`, tag))
        )
        for (const [index, { engine }] of engines.entries())
          await switchOver(engine.client, staged[index] ?? '', tag)
      })
      const args = ['deploy', 'web', '--env', environment, '--tag', tag]
      const { exitCode, document, stderr } = await controller.cliJson<{
        requestedAt: string
        endedAt: string
      }>(...args)
      if (exitCode !== 0) throw new Error(stderr)
      // The first of each has no old container to stop.
      if (round === 0) continue
      direct.push(directMs)
      whole.push(Date.parse(document.endedAt) - Date.parse(document.requestedAt))
    }
    const [a, b] = [median(direct), median(whole)]
    console.log(
      `${engines.length} engines: directly ${a.toFixed(0)} ms, accepted until switched ${b.toFixed(0)} ms, ` +
        `ratio ${(b / a).toFixed(2)}`
    )
  }
  console.log(`medians of ${rounds} rounds, load average ${loadavg()[0]?.toFixed(1)}`)
}

// One host alone, and three others.
await withInstallation(['one', ...Array.from({ length: hostCount }, () => 'more')], run)
