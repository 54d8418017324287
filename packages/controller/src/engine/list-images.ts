// Which images of releases each host holds, as the hosts said last. Nothing is asked for it.
import type { HostImages } from '../api/schemas.ts'
import type { Reads } from '../ports.ts'
import type { HostKnowledge } from './host-knowledge.ts'

export const listImages = async (
  store: Reads,
  knowledge: HostKnowledge,
  { environment, service }: { environment?: string; service?: string }
): Promise<HostImages[]> => {
  const agents = await store.agents(environment === undefined ? {} : { environment })
  return agents
    .filter(({ state }) => state === 'active')
    .map(({ id, hostName, environment: of }) => {
      const inventory = knowledge.inventoryOf(id)
      return {
        environment: of,
        host: hostName,
        isConnected: knowledge.isConnected(id),
        diskFreeBytes: inventory?.diskFreeBytes ?? null,
        diskTotalBytes: inventory?.diskTotalBytes ?? null,
        images:
          inventory?.images
            ?.filter((one) => one.environment === of && (service === undefined || one.service === service))
            .map(({ service: name, releases, digest, sizeBytes }) => ({
              service: name,
              releases,
              digest,
              sizeBytes
            })) ?? null
      }
    })
}
