// Whether the lint rules really stop an import in the wrong direction, and a clock or a random value in pure
// code: each rule is shown a violation, and code that must pass.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import t from 'tap'
import { collectCommand } from '../../../scripts/hosts/run-command.ts'

const root = resolve(import.meta.dirname, '../../..')
const core = 'packages/controller/src/core/batches'
const agentCore = 'packages/agent/src/core'
const protocol = 'packages/protocol/src'

const imports = (source: string): string => `import { x } from '${source}'\nexport const y = x\n`
const value = (expression: string): string => `export const y = () => ${expression}\n`

/** What a file holds -> whether lint must refuse it. Each case is a file of its own. */
const cases: readonly (readonly [folder: string, content: string, isRefused: boolean])[] = [
  [core, imports('@longshore/protocol'), false],
  [core, imports('../deployment/state.ts'), false],
  [core, imports('../../api/schemas.ts'), false],
  [core, imports('../../engine/writer.ts'), true],
  [core, imports('../../adapters/sql/open-store.ts'), true],
  [core, imports('node:fs'), true],
  [core, imports('ws'), true],
  [agentCore, imports('./plan.ts'), false],
  [agentCore, imports('../session.ts'), true],
  [agentCore, imports('../adapters/ws.ts'), true],
  [protocol, imports('@longshore/controller'), true],
  [protocol, imports('node:crypto'), true],
  ...[core, agentCore, protocol].flatMap((folder) => [
    [folder, value('Date.now()'), true] as const,
    [folder, value('new Date()'), true] as const,
    [folder, value('new Date(0)'), false] as const,
    [folder, value('Math.random()'), true] as const,
    [folder, value('crypto.randomUUID()'), true] as const,
    [folder, value('setTimeout(() => undefined, 1)'), true] as const,
    [folder, value('process.env'), true] as const,
    [folder, value('performance.now()'), true] as const
  ]),
  ['packages/controller/src/adapters/http', imports('../sql/open-store.ts'), true],
  ['packages/controller/src/adapters/http/routes', imports('../../sql/open-store.ts'), true],
  ['packages/controller/src/adapters/http/routes', imports('../access.ts'), false],
  ['packages/controller/src/adapters/http', imports('../../engine/fleet.ts'), false],
  ['packages/controller/src/adapters/proxy', imports('../sql/open-store.ts'), true],
  ['packages/controller/src/adapters/proxy/routes', imports('../../sql/open-store.ts'), true],
  ['packages/controller/src/adapters/proxy/routes', imports('../../../engine/fleet.ts'), false],
  ['packages/controller/src/adapters/proxy', imports('../../adapters/sql/open-store.ts'), true],
  ['packages/controller/src/adapters/proxy', imports('../../main.ts'), true],
  ['packages/controller/src/adapters/proxy', imports('./tables.ts'), false],
  ['packages/agent/src/adapters', imports('./docker/engine.ts'), true],
  ['packages/agent/src/adapters', imports('./ws.ts'), true],
  ['packages/agent/src/adapters', imports('./journal-schema.ts'), false],
  ['packages/agent/src/adapters', imports('../ports.ts'), false],
  ['packages/controller/src/engine', imports('../adapters/sql/open-store.ts'), true],
  ['packages/controller/src', imports('./adapters/sql/open-store.ts'), true],
  ['packages/agent/src', imports('./adapters/ws.ts'), true],
  ['packages/controller/src/cli', imports('../engine/writer.ts'), true],
  ['packages/controller/src/cli/commands', imports('../../api/schemas.ts'), false],
  ['packages/controller/src/cli/commands', imports('../../main.ts'), true],
  [
    'packages/controller/src/cli/commands',
    "import { x, z } from '../../main.ts'\nexport const y = [x, z]\n",
    true
  ],
  ['packages/controller/src/cli/commands', "export { x } from '../../main.ts'\n", true],
  ['packages/controller/src/cli/commands', value("import('../../main.ts')"), false],
  ['packages/controller/src/cli/commands', imports('../../adapters/http/access.ts'), true]
]

t.test('lint refuses every wrong import and every impurity, and nothing else', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lsh-lint-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(root, 'biome.json'), join(folder, 'biome.json'))
  cpSync(join(root, 'scripts/lint'), join(folder, 'scripts/lint'), { recursive: true })
  const files = cases.map(([path, content], index) => {
    const file = `${path}/case-${index}.ts`
    mkdirSync(join(folder, dirname(file)), { recursive: true })
    writeFileSync(join(folder, file), content)
    return file
  })
  const { stdout, stderr } = await collectCommand(
    join(root, 'node_modules/.bin/biome'),
    ['lint', '--reporter=github', '--max-diagnostics=none', '--vcs-enabled=false', '.'],
    { cwd: folder }
  )
  t.match(stderr, /Some errors were emitted/, 'biome ran')
  for (const [index, [path, content, isRefused]] of cases.entries()) {
    const isReported = stdout.includes(`/${files[index]},`)
    t.equal(isReported, isRefused, `${path}: ${content.split('\n')[0]}`)
  }
})
