// A backup that is made in the middle of a deployment, and what goes on from it elsewhere; archives that are not whole;
// what a killed restore left; the health of a controller, asked beside its data.
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import type { Command } from '@longshore/protocol'
import t from 'tap'
import {
  askController,
  backUpController,
  restoreController
} from '../../packages/controller/src/care/main.ts'
import { initController } from '../../packages/controller/src/main.ts'
import { packTar } from '../../scripts/hosts/tar.ts'
import { enrol, newMachine } from '../support/agent-client.ts'
import { type Behaviour, connectAnswering, obedient } from '../support/answering-agent.ts'
import { specOf, startRealController, textOf } from '../support/real-controller.ts'
import { makeTestFolder } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

t.test(
  'a backup from the middle of a deployment goes on elsewhere, above what hosts have heard since',
  async (t) => {
    const controller = await startRealController(t)
    const folder = makeTestFolder(t)
    const machine = await newMachine('host-a')
    await enrol(controller.url, machine, (await controller.joinToken()).token)
    const trust = await controller.trust()
    const heard: Command[] = []
    /** Takes commands and says nothing more. */
    let isHeld = false
    const host: Behaviour = (command) => {
      heard.push(command)
      return isHeld ? undefined : obedient(command)
    }
    const connectHost = () => connectAnswering(controller.url, machine, trust, host)
    const first = await connectHost()
    await controller.ask('PUT', '/v1/environments/staging/services/web/spec', { body: { spec: specOf() } })
    const deploy = async (tag: string): Promise<string> => {
      const body = { service: 'web', environment: 'staging', what: { by: 'tag', tag } }
      return textOf((await controller.ask('POST', '/v1/deployments', { body })).body, 'id')
    }
    const waitFor = (id: string) =>
      waitUntil('the deployment to succeed', async () => {
        const { body } = await controller.ask('GET', `/v1/deployments/${id}`)
        return body['outcome'] === 'succeeded'
      })
    await waitFor(await deploy('1'))
    // makes the second key
    const login = { host: 'registry.example', username: 'u', password: 'p' }
    t.equal((await controller.ask('POST', '/v1/registries', { body: login })).status, 200)
    isHeld = true
    heard.length = 0
    const held = await deploy('2')
    await waitUntil('the host to be asked', () => heard.length > 0)

    const file = join(folder, 'backup.tar')
    const { dataDir } = controller
    t.match(await backUpController({ dataDir, file }), { installation: controller.installation, files: 3 })
    t.equal(statSync(file).mode & 0o777, 0o600)
    t.same(
      readdirSync(dataDir).filter((name) => name.startsWith('copy-')),
      [],
      'the copy is removed'
    )
    await t.rejects(backUpController({ dataDir, file }), { code: 'backup-exists' })
    await backUpController({ dataDir, file: join(folder, 'second.tar') })

    first.socket.terminate()
    // each start raises the epoch of the original by one
    for (let start = 0; start < 3; start++) {
      await controller.stop()
      await controller.start()
    }
    const before = await connectHost()
    await waitUntil('the original to go on', async () => {
      const { body } = await controller.ask('GET', '/v1/agents')
      return (body as unknown as { state: string }[])[0]?.state === 'connected'
    })
    before.socket.terminate()
    await controller.stop()
    const highest = Math.max(...heard.map(({ fence }) => fence.epoch))

    const elsewhere = join(folder, 'elsewhere')
    t.match(await restoreController({ dataDir: elsewhere, file }), { installation: controller.installation })
    t.same(readdirSync(elsewhere).toSorted(), ['controller.db', 'sealing-key.json', 'signing-key.json'])
    t.equal(statSync(elsewhere).mode & 0o777, 0o700)
    await controller.start({ dataDir: elsewhere })
    isHeld = false
    heard.length = 0
    const again = await connectHost()
    t.teardown(() => again.socket.terminate())
    // by the same identity, key and API token as before
    await waitFor(held)
    // what it had signed before stays as it was; a host that knows it answers as it did
    const later = heard.filter(({ body }) => body.kind !== 'resolve')
    t.ok(later.length > 0 && later.every(({ fence }) => fence.epoch > highest + 1000))
    const { body } = await controller.ask('GET', '/v1/agents')
    t.match(body, [{ name: 'host-a', state: 'connected' }])
  }
)

t.test('what is not a whole backup is refused, and nothing of it stays', async (t) => {
  const folder = makeTestFolder(t)
  const dataDir = join(folder, 'data')
  await initController({ dataDir })
  const file = join(folder, 'backup.tar')
  await backUpController({ dataDir, file })
  const whole = readFileSync(file)
  const target = join(folder, 'target')
  const refuse = async (name: string, content: Buffer): Promise<void> => {
    writeFileSync(join(folder, name), content)
    await t.rejects(
      restoreController({ dataDir: target, file: join(folder, name) }),
      { code: 'backup-unreadable' },
      name
    )
    t.same(readdirSync(target), [], name)
  }
  const changed = Buffer.from(whole)
  changed.write('XXXX', 50_000)
  await refuse('changed', changed)
  await refuse('cut in the database', whole.subarray(0, 50_000))
  await refuse('cut between two files', whole.subarray(0, whole.indexOf('contents.json')))
  const end = Buffer.concat([whole.subarray(0, whole.indexOf('contents.json')), Buffer.alloc(1024)])
  await refuse('without its last entry', end)
  await refuse('garbage', Buffer.from('no archive at all'))
  const strange = packTar([{ type: 'file', path: '../escape.json', content: Buffer.from('{}') }])
  await refuse('with a name of another folder', strange)
  t.notOk(existsSync(join(folder, 'escape.json')))

  writeFileSync(join(target, 'mine'), '')
  await t.rejects(restoreController({ dataDir: target, file }), { code: 'not-empty' })
  t.same(readdirSync(target), ['mine'])

  const killed = join(folder, 'killed')
  mkdirSync(join(killed, '.longshore-restore'), { recursive: true })
  writeFileSync(join(killed, 'controller.db'), 'half')
  writeFileSync(join(killed, 'mine'), '')
  await t.rejects(
    restoreController({ dataDir: killed, file }),
    { code: 'not-empty' },
    'nothing of others is removed'
  )
  rmSync(join(killed, 'mine'))
  await restoreController({ dataDir: killed, file })
  t.same(
    readdirSync(killed).toSorted(),
    ['controller.db', 'signing-key.json'],
    'a killed restore is begun anew'
  )
  await t.rejects(restoreController({ dataDir: killed, file }), { code: 'not-empty' })
})

t.test('a backup that cannot be written, or is interrupted, says so and leaves nothing behind', async (t) => {
  const folder = makeTestFolder(t)
  const dataDir = join(folder, 'data')
  await initController({ dataDir })
  const kept = readdirSync(dataDir)
  await t.rejects(backUpController({ dataDir, file: join(folder, 'nowhere', 'backup.tar') }), {
    code: 'backup-failed',
    message: /ENOENT/
  })
  await t.rejects(backUpController({ dataDir, file: dataDir, isOverwritten: true }), {
    code: 'backup-failed',
    message: /data is no file/
  })
  const begun = new AbortController()
  const work = backUpController({ dataDir, file: join(folder, 'backup.tar') }, begun.signal)
  begun.abort()
  await t.rejects(work, { code: 'backup-failed', message: /interrupted/ })
  t.same(readdirSync(folder), ['data'])
  t.same(readdirSync(dataDir), kept)
})

t.test('the content of images is saved on request', async (t) => {
  const folder = makeTestFolder(t)
  const dataDir = join(folder, 'data')
  await initController({ dataDir })
  const hex = 'ab'.repeat(32)
  const blob = join('images', 'blobs', 'sha256', 'ab', hex)
  mkdirSync(join(dataDir, 'images', 'blobs', 'sha256', 'ab'), { recursive: true })
  appendFileSync(join(dataDir, blob), 'content')
  for (const hasImages of [false, true]) {
    const file = join(folder, `${hasImages}.tar`)
    t.match(await backUpController({ dataDir, file, hasImages }), { files: hasImages ? 3 : 2 })
    await restoreController({ dataDir: join(folder, `${hasImages}`), file })
  }
  t.equal(readFileSync(join(folder, 'true', blob), 'utf8'), 'content')
  t.throws(() => statSync(join(folder, 'false', 'images')))
})

t.test('health is what the controller says itself, and only to those who may read its data', async (t) => {
  const controller = await startRealController(t)
  const { dataDir } = controller
  t.match(await askController({ dataDir }), `ready on ${controller.url}`)
  chmodSync(dataDir, 0o755)
  await t.rejects(askController({ dataDir }), { code: 'data-permissions' })
  chmodSync(dataDir, 0o700)
  await controller.stop()
  await t.rejects(askController({ dataDir }), { message: /no controller runs/ })
  const noFolder = join(dataDir, 'controller.db', 'data')
  await t.rejects(askController({ dataDir: noFolder }), { code: 'data-unusable', message: /data: ENOTDIR$/ })
  await controller.start()
})
