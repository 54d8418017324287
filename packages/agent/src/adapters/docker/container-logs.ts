// What a container wrote, as the engine hands it out: bytes with a time before each line. What the bytes mean is
// core/logs; how fast they are read is up to whoever reads, the engine waits.
import * as z from 'zod'
import type { ContainerLogs } from '../../ports.ts'
import type { DockerClient } from './client.ts'

const inspected = z.object({ Config: z.object({ Tty: z.boolean().catch(false) }) })

export const createContainerLogs = (client: DockerClient): ContainerLogs => ({
  open: async (id, { isFollowed, since, tail }, signal) => {
    const path = `/containers/${id}`
    const look = await client.call({ method: 'GET', path: `${path}/json`, subject: 'container' })
    const query = {
      stdout: 'true',
      stderr: 'true',
      timestamps: 'true',
      follow: String(isFollowed),
      tail: tail === null ? 'all' : String(tail),
      ...(since !== null && { since })
    }
    const stream = await client.open(
      { method: 'GET', path: `${path}/logs`, query, subject: 'container' },
      signal
    )
    return { isTty: inspected.parse(look).Config.Tty, chunks: stream as AsyncIterable<Uint8Array> }
  }
})
