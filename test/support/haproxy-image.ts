// An image of HAProxy for engines without a registry: this machine's program with the libraries that it names.
import { readFileSync } from 'node:fs'
import { runCommand } from '../../scripts/hosts/run-command.ts'
import { type Image, makeImage } from './images.ts'

const program = '/usr/sbin/haproxy'

/** @param label tells two images apart that hold the same */
export const makeHaproxyImage = async (label: string): Promise<Image> => {
  const listing = await runCommand('ldd', [program])
  const libraries = [...listing.matchAll(/(?:=> |^\t)(\/\S+) \(0x/gm)].flatMap(([, path]) => path ?? [])
  const files = [program, ...libraries].map((path) => ({
    type: 'file' as const,
    path: path.slice(1),
    content: readFileSync(path),
    isExecutable: true
  }))
  const passwd = { type: 'file' as const, path: 'etc/passwd', content: Buffer.from('root:x:0:0::/:/\n') }
  const what = { type: 'file' as const, path: 'label', content: Buffer.from(label) }
  return makeImage([files, [passwd, what]], { Env: ['PATH=/usr/sbin:/usr/bin'] })
}
