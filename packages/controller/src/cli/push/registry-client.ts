// The controller's image store as functions: what a push asks it for. OCI Distribution Specification 1.1; the server's
// side is in adapters/http/images.
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CliError, ProblemError } from '../cli-errors.ts'
import type { Settings } from '../read-settings.ts'
import { openRequest, readBody } from '../send-request.ts'

export type RegistryClient = ReturnType<typeof createRegistryClient>
type Asked = {
  method: 'HEAD' | 'GET' | 'POST' | 'PATCH' | 'PUT'
  path: string
  headers?: Record<string, string>
  body?: Buffer | Readable
  signal?: AbortSignal
}
type Answer = { status: number; location: string; range: string; body: string }

/** Every function rejects with ProblemError (the store refused) or CliError (it could not be asked). */
export function createRegistryClient(settings: Settings) {
  const ask = async (asked: Asked, fine: readonly number[]): Promise<Answer> => {
    const answer = await exchange(settings, asked)
    if (!fine.includes(answer.status)) throw refusalOf(asked, answer)
    return answer
  }
  return {
    /** Whether the token is let in, asked before anything is read or sent. */
    demandEntry: async (signal: AbortSignal): Promise<void> => {
      await ask({ method: 'GET', path: '/v2/', signal }, [200])
    },
    hasBlob: async (repository: string, digest: string, signal?: AbortSignal): Promise<boolean> => {
      const asked = { path: `/v2/${repository}/blobs/${digest}`, ...(signal && { signal }) }
      const { status } = await exchange(settings, { ...asked, method: 'HEAD' })
      if (status === 200 || status === 404) return status === 200
      // why not is said to those who ask for the content
      const headers = { range: 'bytes=0-0' }
      return (await ask({ ...asked, method: 'GET', headers }, [200, 206, 404])).status !== 404
    },
    /** @returns where the upload goes on */
    beginUpload: async (repository: string, signal?: AbortSignal): Promise<string> => {
      const path = `/v2/${repository}/blobs/uploads/`
      return (await ask({ method: 'POST', path, ...(signal && { signal }) }, [202])).location
    },
    /** @returns how many bytes have arrived; null: the upload is gone */
    uploadedBytes: async (upload: string, signal?: AbortSignal): Promise<number | null> => {
      const { status, range } = await ask(
        { method: 'GET', path: upload, ...(signal && { signal }) },
        [204, 404]
      )
      const last = Number(/^0-(\d+)$/.exec(range)?.[1] ?? 0)
      // of nothing and of one byte the answer is the same: no great loss
      return status === 404 || last === 0 ? null : last + 1
    },
    sendPiece: async (
      upload: string,
      piece: { content: Readable; offset: number; sizeBytes: number },
      signal?: AbortSignal
    ): Promise<void> => {
      const { content, offset, sizeBytes } = piece
      const headers = {
        'content-type': 'application/octet-stream',
        'content-length': String(sizeBytes - offset),
        'content-range': `${offset}-${sizeBytes - 1}`
      }
      await ask({ method: 'PATCH', path: upload, headers, body: content, ...(signal && { signal }) }, [202])
    },
    finishUpload: async (upload: string, digest: string, signal?: AbortSignal): Promise<void> => {
      const path = `${upload}?digest=${digest}`
      await ask({ method: 'PUT', path, headers: { 'content-length': '0' }, ...(signal && { signal }) }, [201])
    },
    putManifest: async (
      repository: string,
      reference: string,
      manifest: { mediaType: string; content: string },
      signal?: AbortSignal
    ): Promise<void> => {
      const body = Buffer.from(manifest.content)
      const headers = { 'content-type': manifest.mediaType, 'content-length': String(body.length) }
      const path = `/v2/${repository}/manifests/${reference}`
      await ask({ method: 'PUT', path, headers, body, ...(signal && { signal }) }, [201])
    }
  }
}

const exchange = async (settings: Settings, asked: Asked): Promise<Answer> => {
  const { method, path, headers = {}, body = Buffer.alloc(0), signal } = asked
  const { outgoing, answer: answering } = openRequest(await settings.renewed(), {
    method,
    path,
    // a refusal that comes before all was sent must reach us: the server keeps the connection open for it
    headers: { ...headers, connection: 'keep-alive' },
    ...(signal && { signal })
  })
  const sent = Buffer.isBuffer(body) ? undefined : pipeline(body, outgoing)
  sent?.catch(() => {})
  let unreadable: CliError | undefined
  if (Buffer.isBuffer(body)) outgoing.end(body)
  else
    body.once('error', (error) => {
      if (error instanceof CliError) unreadable = error
    })
  try {
    const answer = await answering
    const status = answer.statusCode ?? 0
    if (status < 300) await sent
    return {
      status,
      location: answer.headers.location ?? '',
      range: answer.headers['range'] ?? '',
      body: await readBody(answer, settings)
    }
  } catch (error) {
    // the request is given up for it, which looks like a connection that was lost
    throw unreadable ?? error
  } finally {
    // after a refusal nobody wants the rest
    outgoing.destroy()
  }
}

/** https://github.com/opencontainers/distribution-spec, "Error Codes"; our own code is in `detail`. */
const refusalOf = ({ method, path }: Asked, { status, body }: Answer): Error => {
  const read = readErrors(body)
  if (read === undefined) {
    return new CliError('unexpected-answer', `${method} ${path} was answered with HTTP status ${status}`, [
      'this is no answer of a Longshore controller; is LONGSHORE_URL right, and does its version store images?'
    ])
  }
  const { code = 'UNKNOWN', message = `HTTP status ${status}`, detail } = read
  return new ProblemError({
    type: 'about:blank',
    title: message,
    status,
    detail: message,
    code: detail?.code ?? code
  })
}

type OciError = { code?: string; message?: string; detail?: { code?: string } }
const readErrors = (body: string): OciError | undefined => {
  try {
    return (JSON.parse(body) as { errors?: OciError[] }).errors?.[0]
  } catch {
    return undefined
  }
}
