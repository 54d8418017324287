// Images of the agent as Dockerfile.agent makes them, as far as an upgrade looks into one: with a bundle made of the
// sources, that says of itself to be another version, and may have a fault put before it.
import { readFileSync } from 'node:fs'
import { type Image, makeImage } from '../../scripts/hosts/image.ts'

/** Runs before the agent does; one that is tried is told apart. */
const isTried = "process.argv.includes('--candidate')"
const faults = {
  none: '',
  /** It cannot even be tried. */
  'ends at once': "console.error('no such thing'); process.exit(70)\n",
  /** It passes every look, and dies as soon as it has the place. */
  'dies in its place': `if (!${isTried}) process.kill(process.pid, 'SIGKILL')\n`,
  /** The agent dies while it tries it, the first time. */
  'kills who tries it once': `import { existsSync as __existsSync, writeFileSync as __writeFileSync } from 'node:fs'
const __marker = process.env.LONGSHORE_DATA_DIR + '/was-tried'
if (${isTried} && !__existsSync(__marker)) {
  __writeFileSync(__marker, '')
  process.kill(process.ppid, 'SIGKILL')
}
`
} as const

/** @param bundle path of `agent.mjs` */
export const makeAgentImage = (
  bundle: string,
  version: string,
  fault: keyof typeof faults = 'none'
): Image => {
  const text = readFileSync(bundle, 'utf8')
  const renamed = text.replace(/(name:"@longshore\/agent",version:")\d+\.\d+\.\d+(")/, `$1${version}$2`)
  if (renamed === text) throw new Error('the bundle does not say its version')
  const content = Buffer.from(renamed.replace('\n', () => `\n${faults[fault]}`))
  return makeImage(
    [
      [
        { type: 'folder', path: 'app/' },
        { type: 'file', path: 'app/agent.mjs', content, isExecutable: false }
      ]
    ],
    { Entrypoint: ['node', '/app/agent.mjs'] }
  )
}
