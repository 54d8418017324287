// How a real image registry (Debian's docker-registry, Distribution 2.8) is run, and how an image is put into
// it over its HTTP API, without any engine: hosts then have to pull what they are told to run.
// Source: https://distribution.github.io/distribution/spec/api/
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Blob, Image } from './image.ts'
import { type RunningProcess, startProcess } from './start-process.ts'
import { waitUntil } from './wait-until.ts'

export type Registry = {
  /** HOST:PORT, the first part of an image's name. */
  name: string
  /** Puts the image there; returns its manifest digest. */
  push(repository: string, tag: string, image: Image): Promise<string>
  /** An outage: nothing answers any more; the content stays. */
  stop(): Promise<void>
  start(): Promise<void>
}

const manifestType = 'application/vnd.docker.distribution.manifest.v2+json'

const expectStatus = async (answer: Response, what: string): Promise<Response> => {
  if (!answer.ok) throw new Error(`registry: ${what}: ${answer.status} ${await answer.text()}`)
  return answer
}

const pushBlob = async (base: string, blob: Blob): Promise<void> => {
  const known = await fetch(`${base}/blobs/${blob.digest}`, { method: 'HEAD' })
  if (known.ok) return
  const upload = await expectStatus(
    await fetch(`${base}/blobs/uploads/`, { method: 'POST' }),
    'begin of upload'
  )
  const target = new URL(upload.headers.get('location') ?? '', base)
  target.searchParams.set('digest', blob.digest)
  await expectStatus(await fetch(target, { method: 'PUT', body: new Uint8Array(blob.content) }), 'upload')
}

/**
 * Starts a registry on ADDRESS:PORT, its content in `folder`; resolves when it answers.
 * @param options.isDeletable whether it removes what it is told to; Distribution's own default is no
 */
export const startRegistry = async (
  folder: string,
  address: string,
  port = 5000,
  { isDeletable = true }: { isDeletable?: boolean } = {}
): Promise<Registry> => {
  mkdirSync(folder, { recursive: true })
  const configFile = join(folder, 'config.yml')
  const name = `${address}:${port}`
  const config = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(folder, 'content') }, delete: { enabled: isDeletable } },
    http: { addr: name, relativeurls: true }
  }
  // JSON is YAML too.
  writeFileSync(configFile, JSON.stringify(config))
  let daemon: RunningProcess | undefined
  const start = async (): Promise<void> => {
    const started = await startProcess({
      name: `registry ${name}`,
      file: 'docker-registry',
      args: ['serve', configFile]
    })
    daemon = started
    await waitUntil(`${started.name} to answer`, async () => {
      if (!started.isRunning) throw new Error(started.output)
      return (await fetch(`http://${name}/v2/`)).ok
    })
  }
  await start()
  return {
    name,
    push: async (repository, tag, image) => {
      const base = `http://${name}/v2/${repository}`
      for (const blob of [image.config, ...image.layers]) await pushBlob(base, blob)
      const answer = await fetch(`${base}/manifests/${tag}`, {
        method: 'PUT',
        headers: { 'Content-Type': manifestType },
        body: image.manifest
      })
      await expectStatus(answer, 'manifest')
      return answer.headers.get('docker-content-digest') ?? ''
    },
    stop: async () => {
      await daemon?.stop()
    },
    start
  }
}
