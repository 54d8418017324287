// What systemd itself says about the units of deploy/systemd: how much of the host is exposed to each.
import { readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { collectCommand } from '../../../scripts/hosts/run-command.ts'
import { testOnProgram } from '../../support/real-parts.ts'

const folder = resolve(import.meta.dirname, '../../../deploy/systemd')

/** Tenths of `systemd-analyze security`, as systemd 252 reckons: a unit may get harder, and then its figure here too. */
const exposures = {
  'longshore-agent.service': 21,
  'longshore-controller.service': 13,
  'longshore-controller-tls.service': 7,
  'longshore-haproxy.service': 24
}

testOnProgram(t, 'systemd-analyze', 'no unit exposes more of the host than it says', async (t) => {
  t.same(
    readdirSync(folder)
      .filter((name) => name.endsWith('.service'))
      .sort(),
    Object.keys(exposures).sort()
  )
  for (const [name, limit] of Object.entries(exposures)) {
    const judged = (threshold: number) =>
      collectCommand('systemd-analyze', [
        'security',
        '--offline=true',
        '--no-pager',
        `--threshold=${threshold}`,
        `${folder}/${name}`
      ])
    const { exitCode, stdout, stderr } = await judged(limit)
    t.equal(exitCode, 0, `${name}: ${stdout.trim().split('\n').at(-1)} ${stderr}`)
    t.not((await judged(0)).exitCode, 0, 'the judgement can fail')
  }
})
