// Which images the tests and the demo deploy: a page served by busybox's httpd on port 8888, which answers its
// version; and the same app broken in the ways that deployments break.
import { readFileSync } from 'node:fs'
import { type Image, type ImageConfig, makeImage } from './image.ts'
import type { TarEntry } from './tar.ts'

/** The port inside the container. */
export const webPort = 8888
/** Where Debian's busybox-static puts the program. */
export const busyboxPath = '/bin/busybox'

const millisecond = 1_000_000

export type WebBehaviour =
  /** serves the page; its health check passes */
  | 'healthy'
  /** serves the page; the image has no health check */
  | 'unchecked'
  /** serves the page, but its health check always fails */
  | 'unhealthy'
  /** prints why, and ends with 3 */
  | 'exits'
  /** serves the page only after three seconds; its health check passes from then on */
  | 'slow'

const serve = `/bin/busybox httpd -f -p ${webPort} -h /www & wait`
// The first process of a container ignores SIGTERM unless it has a handler; without one each stop takes 10 s.
const onTerm = 'trap "exit 0" TERM'

const commands: Record<WebBehaviour, string> = {
  healthy: `echo serving; ${onTerm}; ${serve}`,
  unchecked: `echo serving; ${onTerm}; ${serve}`,
  unhealthy: `echo serving; ${onTerm}; ${serve}`,
  exits: 'echo "fatal: the configuration has no database" >&2; exit 3',
  slow: `echo "warming up"; ${onTerm}; /bin/busybox sleep 3 & wait; echo serving; ${serve}`
}

const healthcheckOf = (behaviour: WebBehaviour): ImageConfig['Healthcheck'] => {
  const timing = { Interval: 700 * millisecond, Timeout: 2000 * millisecond }
  if (behaviour === 'unchecked' || behaviour === 'exits') return undefined
  if (behaviour === 'unhealthy') return { Test: ['CMD', '/bin/busybox', 'false'], Retries: 3, ...timing }
  return {
    Test: ['CMD', '/bin/busybox', 'wget', '-q', '-O', '/dev/null', `http://127.0.0.1:${webPort}/`],
    Retries: 20,
    ...timing
  }
}

const system = (): TarEntry[] => [
  { type: 'folder', path: 'bin/' },
  { type: 'file', path: 'bin/busybox', content: readFileSync(busyboxPath), isExecutable: true },
  { type: 'symlink', path: 'bin/sh', target: 'busybox' },
  { type: 'folder', path: 'tmp/' }
]

/**
 * Makes the sample app.
 * @param version what the page answers, followed by a line feed; any text
 * @param more one layer more, with these files
 */
export const makeWebImage = (
  version: string,
  behaviour: WebBehaviour = 'healthy',
  more: readonly TarEntry[] = []
): Image => {
  const healthcheck = healthcheckOf(behaviour)
  const page: TarEntry[] = [
    { type: 'folder', path: 'www/' },
    { type: 'file', path: 'www/index.html', content: Buffer.from(`${version}\n`) }
  ]
  return makeImage([system(), page, ...(more.length === 0 ? [] : [more])], {
    Cmd: ['/bin/sh', '-c', commands[behaviour]],
    ExposedPorts: { [`${webPort}/tcp`]: {} },
    Labels: { 'org.opencontainers.image.version': version },
    ...(healthcheck === undefined ? {} : { Healthcheck: healthcheck })
  })
}
