// How the app under load becomes an image without a pull and without a copy of node: the layer has only the bundled
// app, the machine's own node and its libraries are mounted from the host. A version is made in milliseconds.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { build } from 'esbuild'
import { type Image, makeImage } from '../../../scripts/hosts/image.ts'

/** The ports inside the container. */
export const httpPort = 8888
export const linePort = 8889

/** Told to the app, so that no other death is taken for a crash. */
export const crashExitCode = 70

export type AppBehaviour = {
  /** Ends with `crashExitCode` so long after the first request. */
  crashAfterMs?: number
  /** Its health page answers 503 from so long after the first request on. */
  sickAfterMs?: number
  /** Of all requests, this share is answered with 500. */
  errorShare?: number
}

/** What a container needs of the host to run node, as `volumes` of a service file or binds of the Engine API. */
export const machineVolumes: readonly string[] = [
  `${process.execPath}:/node:ro`,
  ...['/lib', '/lib64', '/usr/lib'].filter((folder) => existsSync(folder)).map((path) => `${path}:${path}:ro`)
]

let bundled: Promise<Buffer> | undefined
const bundleApp = async (): Promise<Buffer> => {
  const { outputFiles } = await build({
    entryPoints: [resolve(import.meta.dirname, '../load-app.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    // Faster parts of ws that are not installed.
    external: ['bufferutil', 'utf-8-validate'],
    logLevel: 'warning'
  })
  const [file] = outputFiles
  if (file === undefined) throw new Error('esbuild wrote no bundle')
  return Buffer.from(file.contents)
}

/** @param version one word: what the app puts before each answer */
export const makeAppImage = async (version: string, behaviour: AppBehaviour = {}): Promise<Image> => {
  bundled ??= bundleApp()
  const own = {
    VERSION: version,
    HTTP_PORT: httpPort,
    LINE_PORT: linePort,
    CRASH_AFTER_MS: behaviour.crashAfterMs,
    CRASH_EXIT_CODE: crashExitCode,
    SICK_AFTER_MS: behaviour.sickAfterMs,
    ERROR_SHARE: behaviour.errorShare
  }
  return makeImage([[{ type: 'file', path: 'app.cjs', content: await bundled }]], {
    Entrypoint: ['/node', '/app.cjs'],
    Env: Object.entries(own).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])),
    ExposedPorts: { [`${httpPort}/tcp`]: {}, [`${linePort}/tcp`]: {} },
    Labels: { 'org.opencontainers.image.version': version }
  })
}
