// Strangers at the controller's image store: Debian's skopeo and a real Docker Engine push to it and pull from it, and
// `longshore push` takes an image out of that engine. And a disk that becomes full under a push.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { collectCommand, runCommand } from '../../scripts/hosts/run-command.ts'
import { packTar } from '../../scripts/hosts/tar.ts'
import { startTestHost } from '../support/engine.ts'
import { postWithLogin } from '../support/engine-login.ts'
import { codeOf, digestOf, registryClient } from '../support/image-samples.ts'
import { type Image, loadImage, makeImage } from '../support/images.ts'
import { runCli, startTestController } from '../support/processes.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'

/** Content that does not compress, the same each time. */
const noise = (bytes: number, seed: number): Buffer => {
  const content = Buffer.alloc(bytes)
  let state = seed
  for (let at = 0; at + 4 <= bytes; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    content.writeUInt32LE(state, at)
  }
  return content
}
const imageOf = (seeds: number[], bytes = 100_000): Image =>
  makeImage(
    seeds.map((seed) => [{ type: 'file', path: `layer-${seed}`, content: noise(bytes, seed) }]),
    { Cmd: ['/none'] }
  )

/** Of each of three layers. `LONGSHORE_PROOF=1`, `npm run proof:images`: an image of 200 MB. */
const layerBytes = process.env['LONGSHORE_PROOF'] === '1' ? 67_000_000 : 1_500_000
type Inspected = { Id: string; RootFS: { Layers: string[] }; RepoDigests: string[] }
type Pushed = { digest: string; configDigest: string; blobs: { total: number; sent: number } }

testOnRealParts(
  t,
  'an engine pushes and pulls, and longshore push takes what it lacks out of it',
  async (t) => {
    const host = await startTestHost(t)
    const { client } = host.engine
    const address = host.network.address
    const controller = await startTestController(t, { address, port: 7300 })
    const registry = registryClient(() => controller.url, `Bearer ${controller.token}`)
    const at = `${address}:7300`
    const image = imageOf([1, 2, 3], layerBytes)
    await loadImage(client, `${at}/team/app:1`, image)
    const before = await client.get<Inspected>(`/images/${at}/team/app:1/json`)

    const pushed = await postWithLogin(client, `/images/${at}/team/app/push?tag=1`, controller.token)
    t.notMatch(pushed, /errorDetail/)
    const [, digest = ''] = /digest: (sha256:[0-9a-f]{64}) size/.exec(pushed) ?? []
    const stored = await registry.ask('HEAD', '/v2/team/app/manifests/1')
    t.equal(stored.headers.get('docker-content-digest'), digest)
    const denied = await postWithLogin(client, `/images/${at}/team/app/push?tag=2`, 'wrong')
    t.match(denied, /errorDetail|errors|denied|unauthorized/i)
    await client.delete(`/images/${at}/team/app:1?force=true`)
    const pulled = await postWithLogin(
      client,
      `/images/create?fromImage=${at}/team/app&tag=1`,
      controller.token
    )
    t.notMatch(pulled, /errorDetail/)
    const after = await client.get<Inspected>(`/images/${at}/team/app:1/json`)
    t.same(after.RootFS.Layers, before.RootFS.Layers)
    t.equal(after.Id, before.Id, 'the same configuration')
    t.same(after.RepoDigests, [`${at}/team/app@${digest}`], 'and the same manifest')

    const env = {
      LONGSHORE_URL: controller.url,
      LONGSHORE_TOKEN: controller.token,
      DOCKER_HOST: host.engine.dockerHost
    }
    const push = async (name: string, ...args: string[]): Promise<Pushed> => {
      const { exitCode, stdout, stderr } = await runCli(['push', name, '--output', 'json', ...args], env)
      t.equal(exitCode, 0, stderr)
      return JSON.parse(stdout) as Pushed
    }
    const shared = [11, 12, 13, 14, 15, 16, 17, 18, 19]
    const [ten, other] = [imageOf([...shared, 20]), imageOf([...shared, 21])]
    await loadImage(client, 'registry.example.com/api:1', ten)
    await loadImage(client, 'registry.example.com/api:2', other)
    const first = await push('registry.example.com/api:1')
    t.match(first, { configDigest: ten.config.digest, blobs: { total: 11, sent: 11 } })
    t.match(await push('registry.example.com/api:1'), { digest: first.digest, blobs: { sent: 0 } })
    t.match(await push('registry.example.com/api:2'), {
      configDigest: other.config.digest,
      blobs: { total: 11, sent: 2 }
    })
    const path = `/images/create?fromImage=${at}/registry.example.com/api&tag=2`
    t.notMatch(await postWithLogin(client, path, controller.token), /errorDetail/)
    const fetched = await client.get<Inspected>(`/images/${at}/registry.example.com/api:2/json`)
    t.same(fetched.RootFS.Layers, other.diffIds)
    t.ok(
      (await registry.ask('HEAD', `/v2/registry.example.com/api/manifests/${first.digest}`)).status === 200
    )
    const none = await runCli(['push', 'not-there:1'], env)
    t.equal(none.exitCode, 2)
    t.match(none.stderr, /the Docker Engine has no image not-there:1/)
  }
)

const skopeo = async (...args: string[]): Promise<string> => {
  const { exitCode, stdout, stderr } = await collectCommand('skopeo', [...args])
  if (exitCode !== 0) throw new Error(`skopeo ${args.join(' ')}: ${stderr}`)
  return stdout
}

testOnRealParts(t, 'skopeo copies images in and out, byte for byte', async (t) => {
  const controller = await startTestController(t, { address: '127.0.0.1', port: 17421 })
  const folder = makeTestFolder(t)
  const image = imageOf([31, 32])
  const archive = join(folder, 'saved.tar')
  writeFileSync(archive, savedArchive(image, 'api:1'))
  const creds = `anyone:${controller.token}`
  const store = 'docker://127.0.0.1:17421'
  const to = ['--insecure-policy', 'copy', '--dest-tls-verify=false', `--dest-creds=${creds}`]
  const from = ['--insecure-policy', 'copy', '--src-tls-verify=false', `--src-creds=${creds}`]
  await skopeo(...to, `docker-archive:${archive}`, `${store}/api:docker`)
  await skopeo(...to, '--format=oci', `docker-archive:${archive}`, `${store}/api:oci`)
  for (const tag of ['docker', 'oci']) {
    await skopeo(...from, `${store}/docker.io/library/api:${tag}`, `oci:${join(folder, tag)}:x`)
    const inspect = ['inspect', '--config', '--raw', '--tls-verify=false', `--creds=${creds}`]
    const config = await skopeo(...inspect, `${store}/api:${tag}`)
    t.same(JSON.parse(config).rootfs.diff_ids, image.diffIds, tag)
    // turning it into OCI skopeo writes the configuration anew
    if (tag === 'docker') t.equal(digestOf(config), image.config.digest)
  }
  await skopeo(
    ...to,
    '--src-tls-verify=false',
    `--src-creds=${creds}`,
    `${store}/api:oci`,
    `${store}/other/name:1`
  )
  const tags = JSON.parse(await skopeo('list-tags', '--tls-verify=false', `--creds=${creds}`, `${store}/api`))
  t.same(tags.Tags, ['docker', 'oci'])
  const packed = join(folder, 'packed.tar')
  await skopeo(...from, `${store}/api:oci`, `oci-archive:${packed}:api:3`)
  const { exitCode, stderr } = await controller.cli('push', '--archive', packed, 'api:3')
  t.equal(exitCode, 0, stderr)
  const inspect = ['inspect', '--raw', '--tls-verify=false', `--creds=${creds}`]
  t.equal(await skopeo(...inspect, `${store}/api:3`), await skopeo(...inspect, `${store}/api:oci`))
  await t.rejects(
    skopeo(...to.slice(0, -1), '--dest-creds=anyone:wrong', `docker-archive:${archive}`, `${store}/api:no`),
    { message: /unauthorized|authentication/i }
  )
  await skopeo('delete', '--tls-verify=false', `--creds=${creds}`, `${store}/api:docker`)
  await t.rejects(skopeo(...inspect, `${store}/api:docker`), { message: /not stored here|manifest unknown/i })
})

/** As `docker save` writes it. */
const savedArchive = (image: Image, name: string): Buffer => {
  const layers = image.archives.map((content, at) => ({ path: `${at}/layer.tar`, content }))
  const manifest = [{ Config: 'config.json', RepoTags: [name], Layers: layers.map(({ path }) => path) }]
  return packTar([
    ...layers.map((layer) => ({ type: 'file' as const, ...layer })),
    { type: 'file', path: 'config.json', content: image.config.content },
    { type: 'file', path: 'manifest.json', content: Buffer.from(JSON.stringify(manifest)) }
  ])
}

/** A disk of its own, so small that it can be filled. */
const mountSmallDisk = async (t: Test): Promise<string> => {
  const folder = join(makeTestFolder(t), 'disk')
  mkdirSync(folder)
  await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=0700', 'longshore-test', folder])
  t.teardown(() => collectCommand('umount', ['-l', folder]))
  return folder
}

for (const keepFree of ['0', '4m']) {
  testOnRealParts(t, `a disk too small for the image refuses it, with ${keepFree} kept free`, async (t) => {
    const dataFolder = await mountSmallDisk(t)
    const args = ['--keep-free', keepFree]
    const port = keepFree === '0' ? 17422 : 17423
    const controller = await startTestController(t, { address: '127.0.0.1', port, dataFolder, args })
    const registry = registryClient(() => controller.url, `Bearer ${controller.token}`)
    const folder = makeTestFolder(t)
    writeFileSync(join(folder, 'large.tar'), savedArchive(imageOf([1], 30_000_000), 'api:large'))
    writeFileSync(join(folder, 'small.tar'), savedArchive(imageOf([1]), 'api:small'))
    const { exitCode, stderr } = await controller.cli('push', '--archive', join(folder, 'large.tar'))
    t.equal(exitCode, 4, stderr)
    t.match(stderr, /the disk of the controller (is full|has \d+ MiB free).*\(storage-full\)/)
    t.same(readdirSync(join(dataFolder, 'images', 'uploads')), [], 'its room was given back')
    t.equal(codeOf(await registry.ask('GET', '/v2/api/manifests/large')), 'MANIFEST_UNKNOWN')
    const small = await controller.cli('push', '--archive', join(folder, 'small.tar'))
    t.equal(small.exitCode, 0, small.stderr)
    const environments = await controller.cli('environments', 'create', 'staging')
    t.equal(environments.exitCode, 0, environments.stderr)
  })
}
