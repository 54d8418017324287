// The OCI Distribution API (https://github.com/opencontainers/distribution-spec, 1.1) below /v2/: docker, skopeo, crane
// and agents push and pull here. Which right a method needs is said once, here; the parts are in the files beside.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ImageError } from '../../../core/images/image-error.ts'
import { type ImagePath, readImagePath } from '../../../core/images/image-path.ts'
import type { Images } from '../../../engine/images.ts'
import type { Log } from '../../../ports.ts'
import { answerImageErrors } from './answer-image-errors.ts'
import { serveBlob } from './serve-blob.ts'
import { getManifest, listTags, putManifest, removeManifest } from './serve-manifests.ts'
import { beginUpload, cancelUpload, finishUpload, sendPiece, tellUpload } from './take-uploads.ts'

export type ImageRequest<K extends ImagePath['kind'] = ImagePath['kind']> = {
  images: Images
  request: FastifyRequest
  reply: FastifyReply
  at: Extract<ImagePath, { kind: K }>
  /** The repository as it was asked for: addresses in answers use it. */
  name: string
}
type Handler<K extends ImagePath['kind']> = (asked: ImageRequest<K>) => Promise<unknown>
type Handlers = { [K in ImagePath['kind']]: { [method: string]: Handler<K> } }

const handlers: Handlers = {
  blob: { HEAD: serveBlob, GET: serveBlob },
  uploads: { POST: beginUpload },
  upload: { GET: tellUpload, PATCH: sendPiece, PUT: finishUpload, DELETE: cancelUpload },
  manifest: { HEAD: getManifest, GET: getManifest, PUT: putManifest, DELETE: removeManifest },
  tags: { GET: listTags }
}

export const addImageRoutes = async (
  app: FastifyInstance,
  { images, log }: { images: Images; log: Log }
): Promise<void> => {
  await app.register((scope, _options, done) => {
    answerImageErrors(scope, log)
    // bodies are read as they come, of whatever type
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
    const options = { config: { access: { kind: 'images' as const } }, schema: { hide: true } }
    scope.route({
      ...options,
      method: ['GET', 'HEAD'],
      url: '/v2/',
      handler: async (_request, reply) => version(reply).send({})
    })
    scope.route({
      ...options,
      method: ['GET', 'HEAD', 'POST', 'PATCH', 'PUT', 'DELETE'],
      url: '/v2/*',
      handler: (request, reply) => serve(images, request, version(reply))
    })
    done()
  })
}

/** Old clients look for it. */
const version = (reply: FastifyReply): FastifyReply =>
  reply.header('docker-distribution-api-version', 'registry/2.0')

const serve = async (images: Images, request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
  const { '*': path = '' } = request.params as { '*'?: string }
  const at = readImagePath(path)
  const handler = handlers[at.kind][request.method] as Handler<ImagePath['kind']> | undefined
  if (handler === undefined) throw new ImageError('UNSUPPORTED', `${request.method} is not possible here`)
  const name = path.slice(0, path.lastIndexOf(`/${endOf[at.kind]}`))
  return handler({ images, request, reply, at, name })
}

/** What follows the repository in the path. */
const endOf: Record<ImagePath['kind'], string> = {
  blob: 'blobs/',
  uploads: 'blobs/uploads',
  upload: 'blobs/uploads/',
  manifest: 'manifests/',
  tags: 'tags/'
}
