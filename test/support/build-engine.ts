// A Docker Engine in the machine's own network, for building images: the build fetches packages, and the hosts of
// the other tests reach nothing outside. It makes no bridge and no firewall rule, so that builds and containers
// use the machine's network as it is.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { connectEngine, type EngineClient, isEngineReady } from '../../scripts/hosts/engine-client.ts'
import { endProcesses, engineProcesses, removeFolder } from '../../scripts/hosts/remove-leftovers.ts'
import { startProcess } from '../../scripts/hosts/start-process.ts'
import { makeTestFolder } from './real-parts.ts'
import { waitUntil } from './wait.ts'

export type BuildEngine = { client: EngineClient; socketPath: string }

/** Starts it; it ends with the test, with all that it holds. */
export const startBuildEngine = async (t: Test): Promise<BuildEngine> => {
  const folder = join(makeTestFolder(t), 'engine')
  mkdirSync(folder)
  const configFile = join(folder, 'daemon.json')
  writeFileSync(configFile, JSON.stringify({ 'deprecated-key-path': join(folder, 'key.json') }))
  const socketPath = join(folder, 'docker.sock')
  const daemon = await startProcess({
    name: 'dockerd for builds',
    file: 'dockerd',
    args: [
      `--config-file=${configFile}`,
      `--data-root=${join(folder, 'root')}`,
      `--exec-root=${join(folder, 'exec')}`,
      `--pidfile=${join(folder, 'pid')}`,
      `--host=unix://${socketPath}`,
      '--bridge=none',
      '--iptables=false',
      '--ip6tables=false',
      '--ip-forward=false',
      '--log-level=warn'
    ]
  })
  t.teardown(async () => {
    await daemon.stop(15_000)
    await endProcesses(engineProcesses(folder))
    await removeFolder(folder)
  })
  await waitUntil(
    daemon.name,
    () => {
      if (!daemon.isRunning) throw new Error(daemon.output)
      return isEngineReady(socketPath)
    },
    { deadlineMs: 60_000 }
  )
  return { client: connectEngine(socketPath), socketPath }
}
