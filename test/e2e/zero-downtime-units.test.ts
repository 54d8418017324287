// Agent, HAProxy and controller as the units of deploy/systemd, under a systemd that runs nothing else: services are
// replaced, and the agent's unit is stopped, killed and started again, HAProxy replaced by another version, while
// clients of all kinds use them; the controller's hangs meanwhile, and gets a new certificate.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { proofOptions } from '../support/load/deploy-services.ts'
import { startScene } from '../support/load/scene.ts'
import { renewCertificate, startUnitController, stopSigns } from '../support/load/unit-controller.ts'
import { testOnRealParts } from '../support/real-parts.ts'

testOnRealParts(
  t,
  'with agent and HAProxy as units of systemd no request fails either',
  async (t) => {
    const scene = await startScene(t, { runAs: 'unit' })
    const groups = (await scene.haproxies()).map(({ pid }) => readFileSync(`/proc/${pid}/cgroup`, 'utf8'))
    t.ok(groups.length >= 2, 'a master and a worker')
    for (const group of groups) t.match(group, 'longshore-haproxy.service', 'in a unit of their own')
    const { inside } = scene.fleet.agent
    if (inside === undefined) throw new Error('the agent is no unit')
    await t.test('the agent says how it stands, and its credential is the join token', async (t) => {
      const status = await inside('systemctl', 'status', '--no-pager', 'longshore-agent.service')
      t.match(status, 'Status: "connected to the controller"')
    })
    await t.test('the controller is ready when it listens, under an account that cannot read the key', (t) =>
      startUnitController(t, inside, scene.fleet)
    )
    const isRevived = await stopSigns(inside)
    await t.test('the agent is stopped, killed and started again', (t) => scene.restartAgent(t))
    await t.test('HAProxy is replaced by another version', (t) => scene.replaceHaproxy(t))
    await t.test('a controller that hangs was killed and started again', async () => void (await isRevived()))
    await t.test('a renewed certificate of the controller is served', (t) =>
      renewCertificate(t, inside, scene.fleet)
    )
  },
  proofOptions
)
