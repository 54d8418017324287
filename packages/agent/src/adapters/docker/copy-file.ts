// One file out of an image, without running anything of it: a container is made, never started, and removed.
import * as z from 'zod'
import { EngineError } from '../../engine-error.ts'
import type { CopyFile } from '../../ports.ts'
import { type DockerClient, findOrUndefined, slowLimitMs } from './client.ts'

/** Whatever a crash left is found by it. */
const name = 'longshore-agent-program'
const created = z.object({ Id: z.string() })

export const createCopyFile =
  (client: DockerClient): CopyFile =>
  async (image, path, maxBytes) => {
    await remove(client, name)
    const { Id: id } = created.parse(
      await client.call({
        method: 'POST',
        path: '/containers/create',
        query: { name },
        body: { Image: image, Entrypoint: ['/never-started'] },
        subject: 'create',
        limitMs: slowLimitMs
      })
    )
    try {
      const request = { method: 'GET', path: `/containers/${id}/archive`, query: { path } } as const
      const stream = await client.open({ ...request, subject: 'container' }, AbortSignal.timeout(slowLimitMs))
      return await readAll(stream, maxBytes)
    } finally {
      await remove(client, id)
    }
  }

const remove = async (client: DockerClient, id: string): Promise<void> => {
  const query = { v: 'true', force: 'true' }
  const request = { method: 'DELETE', path: `/containers/${id}`, query, subject: 'container' } as const
  await findOrUndefined(client.call({ ...request, limitMs: slowLimitMs }))
}

const readAll = async (stream: NodeJS.ReadableStream, maxBytes: number): Promise<Buffer> => {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of stream) {
    const chunk = Buffer.from(part)
    bytes += chunk.length
    if (bytes > maxBytes) throw new EngineError('bad-request', `the file is larger than ${maxBytes} bytes`)
    parts.push(chunk)
  }
  return Buffer.concat(parts)
}
