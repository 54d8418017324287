// A real registry that asks who is there (htpasswd), over content that another registry has pushed.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type RunningProcess, startProcess } from './processes.ts'
import { makeTestFolder } from './real-parts.ts'
import { waitUntil } from './wait.ts'

/** @param account a line of a htpasswd file, with bcrypt; `content`: where the other registry keeps its blobs */
export const startGuardedRegistry = async (
  t: Test,
  { address, account, content }: { address: string; account: string; content: string }
): Promise<RunningProcess> => {
  const folder = makeTestFolder(t)
  const passwords = join(folder, 'htpasswd')
  writeFileSync(passwords, `${account}\n`)
  const config = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: content } },
    http: { addr: address },
    auth: { htpasswd: { realm: 'test', path: passwords } }
  }
  writeFileSync(join(folder, 'config.yml'), JSON.stringify(config))
  const daemon = await startProcess({
    name: 'guarded registry',
    file: 'docker-registry',
    args: ['serve', join(folder, 'config.yml')]
  })
  t.teardown(() => daemon.stop())
  await waitUntil('the guarded registry to answer', async () => {
    return (await fetch(`http://${address}/v2/`)).status === 401
  })
  return daemon
}
