// Whether the bundles run by themselves: copied away from the checkout, with no node_modules in reach.
import { join } from 'node:path'
import t from 'tap'
import { bundlePrograms } from '../../scripts/bundle.ts'
import { collectCommand } from '../../scripts/hosts/run-command.ts'
import { startProcess } from '../support/processes.ts'
import { makeTestFolder } from '../support/real-parts.ts'

// builds both, and starts five processes: on a machine that does other work too
t.setTimeout(180_000)

t.test('agent and controller run from their bundles alone', async (t) => {
  const folder = makeTestFolder(t)
  await bundlePrograms(folder)
  const run = (...args: string[]) => collectCommand(process.execPath, args, { cwd: folder })

  const agent = await run(join(folder, 'agent.mjs'), '--version')
  t.match(agent, { exitCode: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
  const version = await run(join(folder, 'controller.mjs'), 'version')
  t.match(version, { exitCode: 0, stdout: /\d+\.\d+\.\d+/ })
  const init = await run(join(folder, 'controller.mjs'), 'controller', 'init', '--data', join(folder, 'data'))
  t.match(init, { exitCode: 0, stdout: /^\S+\n$/ }, 'the modules that load late are in the bundle too')

  const started = ['controller', 'start', '--data', join(folder, 'data'), '--listen', '127.0.0.1:0']
  const controller = await startProcess({
    name: 'controller',
    file: process.execPath,
    args: [join(folder, 'controller.mjs'), ...started],
    cwd: folder
  })
  t.teardown(() => controller.stop())
  const line = await controller.waitForLine(/^listening on http/, 60_000)
  const url = `${line.slice('listening on '.length)}/metrics`
  const metrics = await fetch(url, { headers: { authorization: `Bearer ${init.stdout.trim()}` } })
  t.equal(metrics.status, 200)
  t.match(await metrics.text(), '\nlongshore_metrics_left_out 0\n')
})
