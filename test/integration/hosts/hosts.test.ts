// Whether the ground on which every other real test stands holds: engines, networks, registry and images.
import t from 'tap'
import { type Host, startTestHosts } from '../../support/engine.ts'
import { loadImage, makeWebImage, pullImage, webPort } from '../../support/images.ts'
import { testOnRealParts } from '../../support/real-parts.ts'
import { startTestRegistry } from '../../support/registry.ts'
import { waitUntil } from '../../support/wait.ts'

type Inspect = { State: { Running: boolean; ExitCode: number; Health?: { Status: string } } }
const publish = { [`${webPort}/tcp`]: [{ HostPort: '80' }] }

const runContainer = async (host: Host, image: string, name: string): Promise<void> => {
  await host.engine.client.post(`/containers/create?name=${name}`, {
    Image: image,
    HostConfig: { PortBindings: publish, RestartPolicy: { Name: name === 'kept' ? 'always' : 'no' } }
  })
  await host.engine.client.post(`/containers/${name}/start`)
}
const inspect = (host: Host, name: string): Promise<Inspect> =>
  host.engine.client.get(`/containers/${name}/json`)
const read = async (host: Host): Promise<string> => (await fetch(`http://${host.address}/`)).text()

testOnRealParts(
  t,
  'hosts pull from the registry and serve the same port at their own addresses',
  async (t) => {
    const { hosts, network } = await startTestHosts(t, 2)
    const registry = await startTestRegistry(t, network.address)
    const digest = await registry.push('web', '1', makeWebImage('one'))
    t.match(digest, /^sha256:[0-9a-f]{64}$/)
    for (const host of hosts) {
      const distribution = await host.engine.client.get<{ Descriptor: { digest: string } }>(
        `/distribution/${registry.name}/web:1/json`
      )
      t.equal(distribution.Descriptor.digest, digest, 'the engine sees the digest that was pushed')
      await pullImage(host.engine.client, `${registry.name}/web`, '1')
      await runContainer(host, `${registry.name}/web:1`, 'kept')
      t.equal(await waitUntil('the page', () => read(host)), 'one\n')
      await waitUntil('health', async () => (await inspect(host, 'kept')).State.Health?.Status === 'healthy')
    }
    const ids = await Promise.all(hosts.map((host) => host.engine.client.get<{ ID: string }>('/info')))
    t.not(ids[0]?.ID, ids[1]?.ID, 'engines have identities of their own')
  }
)

testOnRealParts(t, 'the broken variants break as their names say', async (t) => {
  const { hosts } = await startTestHosts(t, 1)
  const [host] = hosts
  if (host === undefined) throw new Error('no host')
  for (const behaviour of ['unhealthy', 'exits', 'slow'] as const) {
    await loadImage(host.engine.client, `web:${behaviour}`, makeWebImage('x', behaviour))
    await runContainer(host, `web:${behaviour}`, behaviour)
    await waitUntil(behaviour, async () => {
      const { State } = await inspect(host, behaviour)
      if (behaviour === 'exits') return !State.Running && State.ExitCode === 3
      return State.Health?.Status === (behaviour === 'slow' ? 'healthy' : 'unhealthy')
    })
    await host.engine.client.delete(`/containers/${behaviour}?force=true`)
  }
  t.pass('each reached its state')
})

testOnRealParts(t, 'an engine is killed, restarted and cut off without losing its containers', async (t) => {
  const { hosts } = await startTestHosts(t, 1)
  const [host] = hosts
  if (host === undefined) throw new Error('no host')
  await loadImage(host.engine.client, 'web:1', makeWebImage('one', 'unchecked'))
  await runContainer(host, 'web:1', 'kept')
  await waitUntil('the page', async () => (await read(host)) === 'one\n')

  await host.engine.kill()
  await t.rejects(host.engine.client.get('/info'), 'a killed engine does not answer')
  await host.engine.start()
  await waitUntil('the container after a kill', async () => (await inspect(host, 'kept')).State.Running)

  await host.engine.shutDown()
  await host.engine.start()
  await waitUntil('the container after a restart', async () => (await read(host)) === 'one\n')

  await host.cut()
  await t.rejects(
    fetch(`http://${host.address}/`, { signal: AbortSignal.timeout(500) }),
    'nothing reaches a host that is cut off'
  )
  await host.mend()
  t.equal(await waitUntil('the mended cable', () => read(host)), 'one\n')
})
