// What a careful script does to deploy without Longshore: the Engine API calls that nobody can avoid, for comparison.
import type { EngineClient } from '../scripts/hosts/engine-client.ts'
import { waitUntil } from '../scripts/hosts/wait-until.ts'
import { webPort } from '../scripts/hosts/web-image.ts'

const never = { RestartPolicy: { Name: 'no', MaximumRetryCount: 0 } }
const always = { RestartPolicy: { Name: 'always', MaximumRetryCount: 0 } }

/** Pins the tag's digest, pulls it, gives it a name of its own; returns the image's name with its digest. */
export const stageDirectly = async (
  client: EngineClient,
  repository: string,
  tag: string
): Promise<string> => {
  const { Descriptor } = await client.get<{ Descriptor: { digest: string } }>(
    `/distribution/${repository}:${tag}/json`
  )
  const image = `${repository}@${Descriptor.digest}`
  await client.postRaw(
    `/images/create?${new URLSearchParams({ fromImage: image })}`,
    Buffer.alloc(0),
    'application/json'
  )
  await client.get(`/images/${image}/json`)
  await client.post(`/images/${image}/tag?${new URLSearchParams({ repo: 'kept/direct', tag })}`)
  return image
}

/** Creates the new container, stops the old one, starts the new one, waits until it is healthy. */
export const switchOver = async (client: EngineClient, image: string, tag: string): Promise<void> => {
  const { Id } = await client.post<{ Id: string }>(`/containers/create?name=direct-${tag}`, {
    Image: image,
    HostConfig: { PortBindings: { [`${webPort}/tcp`]: [{ HostPort: '81' }] } }
  })
  const [old] = await client.get<{ Id: string }[]>('/containers/json?filters={"name":["direct"]}')
  if (old !== undefined) {
    await client.post(`/containers/${old.Id}/update`, never)
    await client.post(`/containers/${old.Id}/stop`)
  }
  await client.post(`/containers/${Id}/update`, always)
  await client.post(`/containers/${Id}/start`)
  await waitUntil('health', async () => {
    const { State } = await client.get<{ State: { Health: { Status: string } } }>(`/containers/${Id}/json`)
    return State.Health.Status === 'healthy'
  })
}
