// Keeps what the protocol is now as what the previous version spoke: `node test/vectors/keep-previous.ts`, once after
// a release and before the first change. test/unit/protocol/previous.test.ts holds every later version against it.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { agentCapabilities, command, downMessage } from '@longshore/protocol'
import * as z from 'zod'

const at = (path: string): URL => new URL(path, import.meta.url)
const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(at('../../packages/protocol/package.json'), 'utf8')))
for (const name of ['kinds', 'frames', 'tokens', 'messages']) {
  copyFileSync(at(`${name}.json`), at(`previous/${name}.json`))
}
const schemaOf = (schema: z.ZodType) =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'ref' })
const kept = {
  version,
  capabilities: agentCapabilities,
  command: schemaOf(command),
  downMessage: schemaOf(downMessage)
}
writeFileSync(at('previous/spoken.json'), `${JSON.stringify(kept, null, 2)}\n`)
