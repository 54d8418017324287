// `controller init` as real processes: killed at any point, run again, run twice.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { watch, writeFileSync } from 'node:fs'
import { link, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { installationId, signJws } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { prepareDataDirectory } from '../../packages/controller/src/adapters/keys/data-directory.ts'
import { openStore } from '../../packages/controller/src/adapters/sql/open-store.ts'
import { initController, startController } from '../../packages/controller/src/main.ts'

const main = new URL('../../packages/controller/src/cli/main.ts', import.meta.url).pathname
const initArgs = (dataDir: string): string[] => [main, 'controller', 'init', '--data', dataDir]
const newFolder = (t: Test): string => join(t.testdir({}), 'data')

const init = (dataDir: string): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, initArgs(dataDir), (_error, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err })
    )
  })

/** The token of a completed installation works, and nothing of the attempts is left. */
const demandUsable = async (t: Test, dataDir: string, token: string): Promise<void> => {
  const controller = await startController({ dataDir, listen: '127.0.0.1:0', logLevel: 'silent' })
  const answer = await fetch(`${controller.url}/v1/info`, { headers: { authorization: `Bearer ${token}` } })
  t.equal(answer.status, 200)
  await controller.stop()
  t.same((await readdir(dataDir)).sort(), ['controller.db', 'signing-key.json'])
}

for (const file of ['signing-key.json', 'controller.db', 'controller.db-wal']) {
  t.test(`an init that is killed once there is a ${file} is taken up by the next one`, async (t) => {
    const dataDir = newFolder(t)
    await mkdir(dataDir, { recursive: true })
    const watcher = watch(dataDir, (_event, name) => {
      if (name === file) child.kill('SIGKILL')
    })
    const child = spawn(process.execPath, initArgs(dataDir), { stdio: 'ignore' })
    await once(child, 'close')
    watcher.close()
    t.equal(child.signalCode, 'SIGKILL')
    const { code, out, err } = await init(dataDir)
    if (code === 0) return demandUsable(t, dataDir, out.trim())
    // the killed one was faster: all of it was there, but for the token on the screen
    t.equal(code, 4)
    t.match(err, /is complete; no API token of it was ever used: .* delete .* and run/)
  })
}

t.test('every state that a killed init can leave is taken up', async (t) => {
  const withKey = async () => {
    const dataDir = newFolder(t)
    return { dataDir, key: await prepareDataDirectory(dataDir) }
  }
  await t.test('a draft of the key', async (t) => {
    const dataDir = newFolder(t)
    await mkdir(dataDir, { recursive: true })
    writeFileSync(join(dataDir, 'signing-key.json.0123456789ab'), '{"half')
    await demandUsable(t, dataDir, (await initController({ dataDir })).token)
  })
  await t.test('the key and its draft', async (t) => {
    const { dataDir } = await withKey()
    const path = join(dataDir, 'signing-key.json')
    const before = await readFile(path, 'utf8')
    await link(path, `${path}.0123456789ab`)
    await demandUsable(t, dataDir, (await initController({ dataDir })).token)
    t.equal(await readFile(path, 'utf8'), before, 'the key is the same')
    await rm(dataDir, { recursive: true })
  })
  await t.test('a database without a table', async (t) => {
    const { dataDir } = await withKey()
    writeFileSync(join(dataDir, 'controller.db'), '')
    await demandUsable(t, dataDir, (await initController({ dataDir })).token)
    await rm(dataDir, { recursive: true })
  })
  await t.test('an installation without a token', async (t) => {
    const { dataDir, key } = await withKey()
    const store = await openStore({ path: join(dataDir, 'controller.db') })
    const installation = installationId.parse('ins_00000000000000000001')
    const announcement = { installation, number: 1, key: key.publicJwk, previous: null, announcedAtMs: 1 }
    const jws = await signJws('key', announcement, key)
    await store.transaction(async (tx) => {
      await tx.setInstallation(installation)
      await tx.addKey(jws)
    })
    await store.close()
    const founded = await initController({ dataDir })
    t.equal(founded.installation, installation)
    await demandUsable(t, dataDir, founded.token)
  })
})

t.test('a second init changes nothing and says what there is', async (t) => {
  const dataDir = newFolder(t)
  const { token } = await initController({ dataDir })
  await demandUsable(t, dataDir, token)
  const again = await init(dataDir)
  t.match(again, {
    code: 4,
    out: '',
    err: /in use already; nothing was changed: .*run `longshore controller start`/
  })
  const running = await startController({ dataDir, listen: '127.0.0.1:0', logLevel: 'silent' })
  t.match(await init(dataDir), { code: 4, out: '', err: /a controller runs on/ })
  await running.stop()
  await rm(join(dataDir, 'signing-key.json'))
  t.match(await init(dataDir), { code: 4, err: /no signing-key\.json beside it; restore that one/ })
})
