// Whether the bundles run by themselves: copied away from the checkout, with no node_modules in reach.
import { join } from 'node:path'
import t from 'tap'
import { bundlePrograms } from '../../scripts/bundle.ts'
import { collectCommand } from '../../scripts/hosts/run-command.ts'
import { makeTestFolder } from '../support/real-parts.ts'

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
})
