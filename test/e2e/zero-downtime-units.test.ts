// Agent and HAProxy as the units of deploy/systemd, under a systemd that runs nothing else: services are replaced, and
// the agent's unit is stopped, killed and started again, HAProxy replaced by another version, while clients of all kinds use them.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { proofOptions } from '../support/load/deploy-services.ts'
import { startScene } from '../support/load/scene.ts'
import { testOnRealParts } from '../support/real-parts.ts'

testOnRealParts(
  t,
  'with agent and HAProxy as units of systemd no request fails either',
  async (t) => {
    const scene = await startScene(t, { runAs: 'unit' })
    const groups = (await scene.haproxies()).map(({ pid }) => readFileSync(`/proc/${pid}/cgroup`, 'utf8'))
    t.ok(groups.length >= 2, 'a master and a worker')
    for (const group of groups) t.match(group, 'longshore-haproxy.service', 'in a unit of their own')
    await t.test('the agent is stopped, killed and started again', (t) => scene.restartAgent(t))
    await t.test('HAProxy is replaced by another version', (t) => scene.replaceHaproxy(t))
  },
  proofOptions
)
