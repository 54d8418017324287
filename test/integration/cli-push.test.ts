// `longshore push` from archives, as a process against a real controller: only what is missing, the same digest each
// time, interrupted by a kill -9 of the controller, and what is refused. From real engines: images-clients.test.ts.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { stripVTControlCharacters } from 'node:util'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { packTar } from '../../scripts/hosts/tar.ts'
import { cliMain, environmentFor } from '../support/cli-process.ts'
import {
  digestOf,
  fileEntry,
  registryClient,
  sampleImage,
  sampleIndex,
  savedArchive
} from '../support/image-samples.ts'
import { runCli, startTestController } from '../support/processes.ts'
import { makeTestFolder } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

type Pushed = {
  image: string
  digest: string
  configDigest: string | null
  blobs: { total: number; sent: number; sentBytes: number }
}

const blobFile = (content: Buffer) => fileEntry(`blobs/sha256/${digestOf(content).slice(7)}`, content)
const layoutOf = (top: object, contents: Buffer[]): Buffer =>
  packTar([
    ...contents.map(blobFile),
    fileEntry('oci-layout', '{"imageLayoutVersion":"1.0.0"}'),
    fileEntry('index.json', JSON.stringify({ schemaVersion: 2, manifests: [top] }))
  ])

t.setTimeout(300_000)
const folder = makeTestFolder(t)
const controller = await startTestController(t, {
  address: '127.0.0.1',
  port: 17411,
  args: ['--keep-free', '0']
})
const registry = registryClient(() => controller.url, `Bearer ${controller.token}`)
const write = (name: string, content: Buffer): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
const push = async (...args: string[]) => {
  const { exitCode, document, stderr } = await controller.cliJson<Pushed>('push', ...args)
  if (exitCode !== 0) throw new Error(stderr)
  return document
}
const digestAt = async (path: string) =>
  (await registry.ask('HEAD', path)).headers.get('docker-content-digest')

t.test(
  'sends what is missing, and the same image is the same digest each time',
  { timeout: 300_000 },
  async (t) => {
    const shared = Array.from({ length: 9 }, (_, at) => `shared layer ${at}`)
    const [one, two] = [sampleImage([...shared, 'one']), sampleImage([...shared, 'the other'])]
    const first = write('one.tar', savedArchive(one, 'registry.example.com/team/api:1'))
    t.match(await push('--archive', first), {
      image: 'registry.example.com/team/api:1',
      digest: one.digest,
      configDigest: one.configDigest,
      blobs: { total: 11, sent: 11 }
    })
    t.same((await push('--archive', first)).blobs, { total: 11, sent: 0, sentBytes: 0 })
    const second = write('two.tar.gz', gzipSync(savedArchive(two, 'api:2')))
    const pushed = await push('--archive', second, '--as', 'registry.example.com/team/api:2')
    const sentBytes = Buffer.byteLength('the other') + two.config.length
    t.same(pushed.blobs, { total: 11, sent: 2, sentBytes }, 'one layer of ten, and the configuration')
    t.equal(await digestAt('/v2/registry.example.com/team/api/manifests/2'), two.digest)
    const stored = await registry.ask('GET', `/v2/api/blobs/${digestOf('the other')}`)
    t.equal(stored.body.toString(), 'the other')
    const { stdout } = await controller.cli('push', '--archive', first, 'api:3')
    t.equal(stdout, `api:3 ${one.digest}, 0 of 11 blobs sent, 0 B\n`)
  }
)

t.test(
  'passes an OCI archive on as it is, also one of several platforms',
  { timeout: 300_000 },
  async (t) => {
    const image = sampleImage(['compressed'], 'oci')
    const describe = { mediaType: image.mediaType, digest: image.digest, size: image.manifest.length }
    const annotations = { 'org.opencontainers.image.ref.name': 'api:1' }
    const single = layoutOf({ ...describe, annotations }, [...image.layers, image.config, image.manifest])
    t.match(await push('--archive', write('oci.tar', single)), { image: 'api:1', digest: image.digest })
    const images = [sampleImage(['a'], 'oci'), sampleImage(['b'], 'oci', 'arm64')]
    const index = sampleIndex(images)
    const contents = images.flatMap(({ layers, config, manifest }) => [...layers, config, manifest])
    const top = {
      mediaType: 'application/vnd.oci.image.index.v1+json',
      digest: index.digest,
      size: index.content.length
    }
    const several = write('several.tar', layoutOf(top, [...contents, index.content]))
    t.match(await push('--archive', several, 'api:several'), { digest: index.digest, configDigest: null })
    t.equal(await digestAt('/v2/api/manifests/several'), index.digest)
  }
)

t.test('of a path that an archive has twice the last one counts', { timeout: 300_000 }, async (t) => {
  const image = sampleImage(['what counts'])
  for (const former of ['short', 'longer than what comes after it']) {
    const [before, rest] = [packTar([fileEntry('0/layer.tar', former)]), savedArchive(image, 'api:twice')]
    // without the two blocks of zeros that end an archive
    const twice = write('twice.tar', Buffer.concat([before.subarray(0, -1024), rest]))
    const { digest } = await push('--archive', twice)
    t.equal(digest, image.digest)
  }
})

t.test('a push goes on after the controller was killed', { timeout: 300_000 }, async (t) => {
  const image = sampleImage([Buffer.alloc(150 * 1024 * 1024, 'large '), 'small'])
  const archive = write('large.tar', savedArchive(image, 'api:large'))
  const pushing = await controller.startCli('push', '--archive', archive)
  const uploads = join(controller.dataFolder, 'images', 'uploads')
  await waitUntil('a part of the layer to have arrived', async () => {
    const [name] = readdirSync(uploads, { encoding: 'utf8' })
    return name !== undefined && statSync(join(uploads, name)).size > 10 * 1024 * 1024
  })
  await controller.kill()
  t.equal(readdirSync(uploads).length, 1, 'it was not finished')
  t.notOk(pushing.output.includes('sent sha256'), 'nothing was called sent')
  await controller.start()
  const { exitCode } = await pushing.ended
  t.equal(exitCode, 0, pushing.output)
  t.match(pushing.output, /interrupted, going on/)
  t.equal(await digestAt('/v2/api/manifests/large'), image.digest)
  const [large] = image.layers
  const { body } = await registry.ask('GET', `/v2/api/blobs/${digestOf(large ?? '')}`)
  t.ok(large?.equals(body), 'byte for byte')
  t.same(readdirSync(uploads), [])
})

t.test(
  'a terminal shows one line that is redrawn, a pipe a line per blob',
  { timeout: 300_000 },
  async (t) => {
    const layersOf = (letter: string) => [1, 2, 3].map((at) => Buffer.alloc(at * 4_000_000, `${letter}${at}`))
    const shown = write('shown.tar', savedArchive(sampleImage(layersOf('t')), 'api:shown'))
    const columns = 70
    const command = `stty cols ${columns} rows 20; exec '${process.execPath}' '${cliMain}' push --archive ${shown}`
    const child = spawn('script', ['-qefc', command, '/dev/null'], {
      env: { ...environmentFor(controller.url), LONGSHORE_TOKEN: controller.token }
    })
    child.stdin.end()
    const [out] = await Promise.all([text(child.stdout), once(child, 'close')])
    t.equal(child.exitCode, 0, out)
    const [frames = '', result = ''] = out.split('\u001b[?25h')
    t.match(result, /^api:shown sha256:[0-9a-f]{64}, 4 of 4 blobs sent, 24\.0 MB\r\n$/, 'it stands alone')
    const lines = frames.split('\r\n').map((line) => stripVTControlCharacters(line).trim())
    t.ok(
      lines.every((line) => line.length < columns),
      'no line is wrapped'
    )
    t.equal(frames.split('\u001b[1A').length, lines.length, 'each line goes over the one before')
    const bars = lines.flatMap((line) => /^\[(#*)(-*)\] .* of 24\.0 MB, \d of 4 blobs$/.exec(line) ?? [])
    const full = bars.flatMap((part, at) => (at % 3 === 1 ? [part.length] : []))
    t.ok(full.length >= 4, JSON.stringify(lines))
    t.same(
      full,
      full.toSorted((a, b) => a - b),
      'it only grows'
    )
    t.equal(full.at(-1), 30)

    const piped = write('piped.tar', savedArchive(sampleImage(layersOf('p')), 'api:piped'))
    const { exitCode, stderr } = await controller.cli('push', '--archive', piped)
    t.equal(exitCode, 0, stderr)
    t.equal(stderr.trim().split('\n').length, 6, stderr)
    t.notOk(stderr.includes('\r') || stderr.includes('\u001b'), 'nothing is redrawn')
  }
)

t.test('says what is wrong with an image, a name or a token', { timeout: 300_000 }, async (t) => {
  const image = sampleImage(['x'])
  const archive = write('image.tar', savedArchive(image, 'api:1'))
  const cut = write('cut.tar', savedArchive(image, 'api:1').subarray(0, 700))
  const cases: [args: string[], exitCode: number, says: RegExp][] = [
    [['push'], 2, /name the image to push/],
    [['push', 'API:1'], 2, /no name of an image/],
    [['push', `api@${image.digest}`], 2, /by its digest/],
    [['push', '--archive', `${archive}.not`], 2, /cannot read/],
    [['push', '--archive', cut], 2, /cannot be read/],
    [['push', '--archive', folder], 2, /is no file/],
    [['push', '--archive', '/dev/null', 'api:1'], 2, /is no file/],
    [
      ['push', '--archive', write('other.tar', packTar([fileEntry('a', 'b')])), 'api:1'],
      2,
      /neither an archive/
    ]
  ]
  for (const [args, exitCode, says] of cases) {
    const ended = await controller.cli(...args)
    t.equal(ended.exitCode, exitCode, `${args.join(' ')}: ${ended.stderr}`)
    t.match(ended.stderr, says)
  }
  const { stdout: reader } = await controller.cli(
    'api-token',
    'create',
    '--name',
    'r',
    '--allow',
    'pull-image:*/*'
  )
  for (const [host, says] of [
    ['tcp://127.0.0.1:1', /does not give the image api:1: connect ECONNREFUSED/],
    ['ssh://me@127.0.0.1:1', /over ssh/]
  ] as const) {
    const env = { LONGSHORE_URL: controller.url, LONGSHORE_TOKEN: controller.token, DOCKER_HOST: host }
    const { exitCode, stderr } = await runCli(['push', 'api:1'], env)
    t.equal(exitCode, 2, stderr)
    t.match(stderr, says)
    t.notMatch(stderr, /Deprecat/)
  }
  const pushAs = (token: string, url = controller.url) =>
    runCli(['push', '--archive', archive], { LONGSHORE_URL: url, LONGSHORE_TOKEN: token })
  const denied = await pushAs(reader.trim())
  t.equal(denied.exitCode, 3, denied.stderr)
  t.match(denied.stderr, /lacks push-image/)
  const stranger = await pushAs('nobody')
  t.equal(stranger.exitCode, 3, stranger.stderr)
  t.match(stranger.stderr, /\(unauthenticated\)/)
  t.notMatch(stranger.stderr, /reading the image/, 'that is known before a large image is read')
  const elsewhere = await pushAs(controller.token, `${controller.url}/elsewhere`)
  t.equal(elsewhere.exitCode, 7, elsewhere.stderr)
  t.match(elsewhere.stderr, /no answer of a Longshore controller/)
})
