// HAProxy as a container on a real engine: started, reloaded, replaced by another image, brought back, all with
// requests through it and none lost.
import { join } from 'node:path'
import t from 'tap'
import { createDockerClient } from '../../packages/agent/src/adapters/docker/client.ts'
import { createCredentials } from '../../packages/agent/src/adapters/docker/credentials.ts'
import { createEngine } from '../../packages/agent/src/adapters/docker/engine.ts'
import { createProxyContainers } from '../../packages/agent/src/adapters/docker/proxy-containers.ts'
import { containerLife } from '../../packages/agent/src/adapters/haproxy/container.ts'
import { runCommand } from '../../scripts/hosts/run-command.ts'
import { startTestHost } from '../support/engine.ts'
import { openTestProxy, routeOf } from '../support/haproxy.ts'
import { makeHaproxyImage } from '../support/haproxy-image.ts'
import { loadImage, makeWebImage, webPort } from '../support/images.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

const image = 'haproxy:test'

testOnRealParts(t, 'a container of HAProxy starts, reloads, is replaced, and comes back', async (t) => {
  const host = await startTestHost(t)
  const { client, dockerHost } = host.engine
  await loadImage(client, image, await makeHaproxyImage('first'))
  await loadImage(client, 'web:1', makeWebImage('one', 'unchecked'))
  const startWeb = async () => {
    const { Id } = await client.post<{ Id: string }>('/containers/create', { Image: 'web:1' })
    await client.post(`/containers/${Id}/start`)
    const look = await client.get<{ NetworkSettings: { IPAddress: string } }>(`/containers/${Id}/json`)
    return { id: Id, address: look.NetworkSettings.IPAddress }
  }
  const web = await startWeb()
  const folder = join(makeTestFolder(t), 'haproxy')
  const docker = createDockerClient(dockerHost)
  const engine = createProxyContainers(docker, createEngine(docker, createCredentials({ HOME: folder })))
  const { proxy, lines } = await openTestProxy(t, folder, {
    life: containerLife({ engine, image, hostFolder: folder })
  })
  const list = () => engine.list('longshore.proxy', folder)
  const [enter = '', ...rest] = host.enter
  const askHost = (port: number): Promise<string> =>
    runCommand(enter, [...rest, 'curl', '--silent', '--max-time', '5', `http://127.0.0.1:${port}/`])
  const anywhere = (port: number, service: string) => ({
    ...routeOf(port, webPort, [web], {}, service),
    ports: [{ hostIp: null, published: port, target: webPort }]
  })

  await proxy.route(anywhere(80, 'web'))
  t.match(await askHost(80), /^one/)
  const [first] = await list()
  t.equal((await list()).length, 1, 'what only checked is gone')

  await proxy.route(anywhere(81, 'other'))
  t.match(await askHost(81), /^one/)
  t.equal((await list())[0]?.id, first?.id, 'a reload')

  await loadImage(client, image, await makeHaproxyImage('second'))
  await proxy.ensure()
  t.match(await askHost(80), /^one/)
  const [second] = await list()
  t.not(second?.id, first?.id)
  await waitUntil('the former one has ended', async () => {
    await proxy.ensure()
    return !(await list()).some(({ id, isRunning }) => id === first?.id && isRunning)
  })
  t.match(await askHost(81), /^one/)

  await client.post(`/containers/${second?.id}/kill`)
  await waitUntil('it is back', () =>
    askHost(80).then(
      (text) => text.startsWith('one'),
      () => false
    )
  )
  t.match(lines.map(({ message }) => message).join('\n'), /HAProxy went away/)
  await proxy.stop()
})
