// The base image of our Dockerfiles where no image registry is reachable: the machine's pinned node with the
// libraries that it names, its npm, its certificate authorities and a busybox for `sh` and `env`.
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { runCommand } from '../../scripts/hosts/run-command.ts'
import { busyboxPath } from '../../scripts/hosts/web-image.ts'
import type { EngineClient } from './engine.ts'

const authorities = '/etc/ssl/certs/ca-certificates.crt'
/** Settings that every image `FROM` it inherits. */
const settings = [
  'ENV PATH=/usr/local/bin:/usr/bin:/bin',
  'ENV HOME=/root',
  `ENV NODE_EXTRA_CA_CERTS=${authorities}`
]

/** Paths of the shared libraries and of the loader, as ldd(1) lists them. */
const librariesOf = async (program: string): Promise<string[]> =>
  [...(await runCommand('ldd', [program])).matchAll(/(?:=> |^\t)(\/\S+) \(0x/gm)].map(
    ([, path]) => path ?? ''
  )

/** The npm that runs as `npm`: what PATH names is a link to its bin/npm-cli.js. */
const npmFolder = (): string => {
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'npm'))
    .find((path) => existsSync(path))
  if (found === undefined) throw new Error('no npm in PATH')
  return resolve(realpathSync(found), '../..')
}

const layOut = async (root: string): Promise<void> => {
  const copy = (from: string, to = from): void =>
    cpSync(from, join(root, to), { recursive: true, dereference: true })
  for (const folder of ['tmp', 'root', 'bin', 'usr/bin', 'usr/local/bin'])
    mkdirSync(join(root, folder), { recursive: true })
  copy(process.execPath, '/usr/local/bin/node')
  for (const library of await librariesOf(process.execPath)) copy(library)
  copy(npmFolder(), '/usr/local/lib/node_modules/npm')
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'))
  copy(busyboxPath, '/bin/busybox')
  symlinkSync('busybox', join(root, 'bin/sh'))
  symlinkSync('/bin/busybox', join(root, 'usr/bin/env'))
  if (existsSync(authorities)) copy(authorities)
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/tmp:/bin/sh\n')
}

/**
 * Imports it into the engine, a few seconds.
 * @param folder empty or absent; takes 150 MB
 */
export const importStandIn = async (client: EngineClient, folder: string, name: string): Promise<void> => {
  mkdirSync(join(folder, 'etc'), { recursive: true })
  await layOut(folder)
  const query = new URLSearchParams([
    ['fromSrc', '-'],
    ['repo', name],
    ...settings.map((line): [string, string] => ['changes', line])
  ])
  const archive = spawn('tar', ['--create', '--directory', folder, '.'], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const answer = await client.postRaw(`/images/create?${query}`, archive.stdout, 'application/x-tar')
  if (answer.includes('"errorDetail"')) throw new Error(`docker import: ${answer}`)
}
