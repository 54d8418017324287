// The main job on real parts: three engines as three hosts, a registry, and controller, agents and CLI as the
// processes that a user runs. What is claimed by the CLI is checked at Docker and over HTTP.
import t, { type Test } from 'tap'
import type { Host } from '../support/engine.ts'
import { type Fleet, startFleet } from '../support/fleet.ts'
import { loadImage, makeWebImage, webPort } from '../support/images.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { startSyslogReceiver } from '../support/syslog.ts'

type ContainerDetails = {
  Name: string
  Config: { Env: string[]; Labels: Record<string, string> }
  HostConfig: {
    PortBindings: Record<string, { HostPort: string }[]>
    RestartPolicy: { Name: string }
    LogConfig: { Type: string; Config: Record<string, string> }
  }
}

const runningContainers = async (host: Host): Promise<ContainerDetails[]> => {
  const listed = await host.engine.client.get<{ Id: string }[]>('/containers/json')
  return Promise.all(
    listed.map(({ Id }) => host.engine.client.get<ContainerDetails>(`/containers/${Id}/json`))
  )
}

/** After a deployment that must not change anything: v1 still answers everywhere, from the first release. */
const expectUntouched = async (t: Test, fleet: Fleet): Promise<void> => {
  t.strictSame(
    await fleet.pages(),
    fleet.hosts.map(() => 'v1'),
    'v1 still serves everywhere'
  )
}

testOnRealParts(t, 'v1 and then v2 reach three hosts with the options of the service file', async (t) => {
  const fleet = await startFleet(t, 3)
  const syslog = await startSyslogReceiver(t, fleet.controller.url.replace(/^http:\/\/(.*):\d+$/, '$1'))
  await fleet.apply({
    environment: { NODE_ENV: 'staging' },
    logging: { driver: 'syslog', options: { 'syslog-address': syslog.address } }
  })
  for (const [release, tag] of ['v1', 'v2'].entries()) {
    const digest = await fleet.push(tag)
    const { exitCode, document } = await fleet.deploy(tag)
    t.match({ exitCode, document }, { exitCode: 0, document: { outcome: 'succeeded', digest } }, tag)
    t.same(document.release, release + 1)
    t.ok(document.targets.every(({ state }) => state === 'released'))
    t.strictSame(await fleet.pages(), [tag, tag, tag])
  }
  for (const host of fleet.hosts) {
    const [container, ...others] = await runningContainers(host)
    t.equal(others.length, 0, 'one container runs')
    t.equal(container?.Name, '/web-r2-0')
    t.match(container?.HostConfig, {
      PortBindings: { [`${webPort}/tcp`]: [{ HostPort: '80' }] },
      RestartPolicy: { Name: 'always' },
      LogConfig: { Type: 'syslog', Config: { 'syslog-address': syslog.address } }
    })
    t.ok(container?.Config.Env.includes('NODE_ENV=staging'))
    t.match(container?.Config.Labels, { 'longshore.service': 'web', 'longshore.release': '2' })
  }
  await syslog.waitForLine(/serving/)

  const again = await fleet.deploy('v2')
  t.match(again, { exitCode: 0, document: { outcome: 'succeeded', unchanged: true } }, 'nothing to do')
})

testOnRealParts(
  t,
  'a deployment that cannot succeed leaves the old version serving and says why',
  async (t) => {
    const fleet = await startFleet(t, 3)
    await fleet.apply()
    await fleet.push('v1')
    t.equal((await fleet.deploy('v1')).exitCode, 0)

    await t.test('an unknown tag is refused', async (t) => {
      const { exitCode, document } = await fleet.deploy('nowhere')
      t.match({ exitCode, document }, { exitCode: 4, document: { outcome: 'refused', reason: /nowhere/ } })
      await expectUntouched(t, fleet)
    })
    await t.test('an unhealthy image is reverted', async (t) => {
      await fleet.push('sick', 'unhealthy')
      const { exitCode, document } = await fleet.deploy('sick')
      t.match({ exitCode, document }, { exitCode: 1, document: { outcome: 'reverted' } })
      t.match(document.targets.find(({ state }) => state === 'failed')?.reason, /health/)
      await expectUntouched(t, fleet)
    })
    await t.test('a container that exits at once is reverted, its last words are shown', async (t) => {
      await fleet.push('dead', 'exits')
      const { exitCode, document } = await fleet.deploy('dead')
      t.match({ exitCode, document }, { exitCode: 1, document: { outcome: 'reverted' } })
      t.match(JSON.stringify(document.targets), /the configuration has no database/)
      await expectUntouched(t, fleet)
    })
  }
)

testOnRealParts(t, 'a published port that a stranger holds is refused with its name', async (t) => {
  const fleet = await startFleet(t, 1)
  const [host] = fleet.hosts
  if (host === undefined) throw new Error('no host')
  await loadImage(host.engine.client, 'stranger:1', makeWebImage('stranger'))
  await host.engine.client.post('/containers/create?name=stranger', {
    Image: 'stranger:1',
    HostConfig: { PortBindings: { [`${webPort}/tcp`]: [{ HostPort: '80' }] } }
  })
  await host.engine.client.post('/containers/stranger/start')
  await fleet.apply()
  await fleet.push('v1')
  const { exitCode, document } = await fleet.deploy('v1')
  t.match({ exitCode, document }, { exitCode: 4, document: { outcome: 'refused' } })
  t.match(document.targets[0]?.reason, /stranger/)
  t.strictSame(await fleet.pages(), ['stranger'])
})

testOnRealParts(t, 'a host short of disk space votes against, and nothing is stopped', async (t) => {
  const fleet = await startFleet(t, 1, { agentEnv: { LONGSHORE_MIN_FREE_BYTES: String(2 ** 49) } })
  await fleet.apply()
  await fleet.push('v1')
  const { exitCode, document } = await fleet.deploy('v1')
  t.match({ exitCode, document }, { exitCode: 4, document: { outcome: 'refused' } })
  t.equal(document.targets[0]?.code, 'disk-full')
})
