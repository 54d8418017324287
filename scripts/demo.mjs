// `npm run demo`: says what to do when Node is too old, and runs the demo in a session of its own. Ctrl-C at the
// terminal reaches only this process, which passes it on: it must not end half of a removal that is under way.
import './check-node.mjs'
import { spawn } from 'node:child_process'
import { join } from 'node:path'

const main = join(import.meta.dirname, 'demo', 'main.ts')
// The channel says nothing; its end tells the demo that this process was killed.
const demo = spawn(process.execPath, [main, ...process.argv.slice(2)], {
  detached: true,
  stdio: ['inherit', 'inherit', 'inherit', 'ipc']
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => demo.kill(signal))
demo.on('exit', (code) => process.exit(code ?? 1))
