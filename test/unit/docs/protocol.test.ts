// docs/protocol.md has a section for every message and a row for every field of every schema, and no other rows.
import { readFileSync } from 'node:fs'
import * as protocol from '@longshore/protocol'
import t from 'tap'
import * as z from 'zod'

const text = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8')

const sections: Record<string, z.ZodType> = {
  Frame: protocol.downFrame,
  Facts: protocol.facts,
  'Policy summary': protocol.policySummary,
  Mark: protocol.serviceMark,
  Fence: protocol.fence,
  'Command claims': protocol.command,
  'Command bodies': protocol.commandBody,
  'Command credential': protocol.commandCredential,
  'Registry login': protocol.registryLogin,
  'Pinned image': protocol.pinnedImage,
  'Image source': protocol.imageSource,
  'Image content': protocol.imageContent,
  'Report claims': protocol.runReport,
  Outcome: protocol.runOutcome,
  Result: protocol.runResult,
  'Traffic move': protocol.trafficMove,
  'Staged image': protocol.stagedImage,
  'Run error': protocol.runError,
  'Source failure': protocol.sourceFailure,
  'Step receipt': protocol.stepReceipt,
  Inventory: protocol.inventory,
  'Proxy state': protocol.proxyState,
  'Service traffic': protocol.serviceTraffic,
  Container: protocol.inventoryContainer,
  'Kept image': protocol.inventoryImage,
  Assertion: protocol.assertionClaims,
  'Time claims': protocol.timeClaims,
  'Join token': protocol.joinClaims,
  'API token': protocol.apiClaims,
  'Pull token': protocol.pullClaims,
  Leave: protocol.leaveClaims,
  'Enrolment request': protocol.enrolClaims,
  'Enrolment answer': protocol.enrolAnswer,
  'Key announcement': protocol.keyAnnouncement
}
const messages = [...protocol.downMessage.options, ...protocol.upMessage.options]
for (const message of messages) sections[message.shape.type.value] = message

/** Field names of an object, or of all members of a union. */
const fieldsOf = (schema: z.ZodType): string[] => {
  if (schema instanceof z.ZodObject) return Object.keys(schema.shape)
  if (schema instanceof z.ZodUnion) {
    return schema.options.flatMap((option) => (option instanceof z.ZodType ? fieldsOf(option) : []))
  }
  return []
}

const rowsBelow = (heading: string): string[] => {
  const section = text.split('\n## ').find((part) => part.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `(\w+)` \| .+ \|$/gm)].map((row) => row[1] ?? '')
}

for (const [heading, schema] of Object.entries(sections)) {
  t.test(`the section ${heading} explains exactly the fields of its schema`, (t) => {
    const fields = [...new Set(fieldsOf(schema))].sort()
    t.not(fields.length, 0)
    t.same(rowsBelow(heading).sort(), fields)
    t.end()
  })
}
