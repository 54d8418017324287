// Where the image to push comes from: the local Docker Engine, or a file. Either way it is a tar that can be read as
// often as it is needed.
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { CliError } from '../cli-errors.ts'
import { gzipMagic } from './survey-archive.ts'

/** Begins at the beginning, each time that it is called. */
export type OpenImage = () => Promise<Readable>

/** @param path of an archive; one that was compressed by gzip is fine too */
export function imageInFile(path: string): OpenImage {
  return async () => {
    const beginning = await readBeginning(path)
    const content = createReadStream(path, { highWaterMark: 1024 * 1024 })
    if (!beginning.equals(gzipMagic)) return content
    const plain = createGunzip()
    content.on('error', (error) => plain.destroy(error))
    return content.pipe(plain)
  }
}

/** Looked at before it is opened: opening a pipe waits for whoever writes into it. */
const readBeginning = async (path: string): Promise<Buffer> => {
  try {
    if (!(await stat(path)).isFile()) throw new Error('it is no file, and an archive is read twice')
    const file = await open(path)
    try {
      return (await file.read(Buffer.alloc(2), 0, 2, 0)).buffer
    } finally {
      await file.close()
    }
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new CliError('file-unreadable', `cannot read ${path}: ${detail}`, [], { cause })
  }
}

/** By `GET /images/NAME/get`: https://docs.docker.com/reference/api/engine/version/v1.41/#operation/ImageGet */
export function imageInEngine(name: string): OpenImage {
  return async () => {
    if (/^ssh:/i.test(process.env['DOCKER_HOST'] ?? ''))
      throw new CliError('image-unreadable', 'the Docker Engine is not asked over ssh', [
        'save the image on its machine by `docker save`, and push it by --archive FILE'
      ])
    // how it reads DOCKER_HOST is for its authors to change
    process.noDeprecation = true
    const { default: Docker } = await import('dockerode')
    const image = new Docker().getImage(name)
    try {
      // an image that is not there is an error here, not an archive without one
      await image.inspect()
      return (await image.get()) as Readable
    } catch (cause) {
      throw failureOf(name, cause)
    }
  }
}

const failureOf = (name: string, cause: unknown): CliError => {
  if (cause instanceof Error && 'statusCode' in cause && cause.statusCode === 404) {
    return new CliError('image-unreadable', `the Docker Engine has no image ${name}`, [], { cause })
  }
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new CliError(
    'image-unreadable',
    `the Docker Engine does not give the image ${name}: ${detail}`,
    ['is it running, and does DOCKER_HOST name it? an image in a file is pushed by --archive FILE'],
    { cause }
  )
}
