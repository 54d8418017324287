// docs/events.md explains exactly the events that there are, and exactly their fields, down to the last object.
import { readFileSync } from 'node:fs'
import { connections, healthAnswer, stepReceipt, trafficMove } from '@longshore/protocol'
import t from 'tap'
import * as z from 'zod'
import * as schemas from '../../../packages/controller/src/api/schemas.ts'
import { resultDocument } from '../../../packages/controller/src/cli/render-result.ts'
import { deployment } from '../../support/controller-stand-in.ts'

const text = readFileSync(new URL('../../../docs/events.md', import.meta.url), 'utf8')
const sections = text.split('\n## ').slice(1)

const unwrapped = (schema: z.ZodType | undefined): z.ZodType => {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    const inner = schema.unwrap()
    if (inner instanceof z.ZodType) return unwrapped(inner)
  }
  if (schema === undefined) throw new Error('there is no such schema')
  return schema
}
const fieldsOf = (schema: z.ZodType): string[] => {
  if (schema instanceof z.ZodObject) return Object.keys(schema.shape)
  if (!(schema instanceof z.ZodUnion)) throw new Error('neither an object nor a union')
  return schema.options.flatMap((option) => (option instanceof z.ZodType ? fieldsOf(option) : []))
}

const objects: [heading: string, schema: z.ZodType][] = [
  ...schemas.deploymentEvent.options.map((event): [string, z.ZodType] => [event.shape.type.value, event]),
  ['Deployment', schemas.deploymentView],
  ['What', schemas.deployWhat],
  ['Service', schemas.servicePart],
  ['Release command', schemas.releaseCommandView],
  ['Pace', schemas.rolloutView],
  ['Pause', unwrapped(schemas.deploymentView.shape.pause)],
  ['Target', schemas.targetView],
  ['Progress', schemas.progressView],
  ['Health answer', healthAnswer],
  ['Connections', connections],
  ['Traffic move', trafficMove],
  ['Step', stepReceipt],
  ['Plan', schemas.targetPlan],
  ['Refusal', schemas.refusalView],
  ['Change', schemas.specChange]
]

/** Optional fields come only when there is something to say. */
const pause = { reason: 'a host failed', untilMs: 1 }
const full = deployment({ attached: true, pause, refusals: [] })
const result = ['type', 'at', ...Object.keys(resultDocument(full, 'unknown', null)), 'exitCode']

const documented = new Map(
  sections.map((section) => {
    const fields = [...section.matchAll(/^\| `(\w+)` \| .+ \|$/gm)].map((row) => row[1] ?? '')
    return [section.slice(0, section.indexOf('\n')), fields] as const
  })
)

t.test('there is a section for every event and every object in one, and no other', (t) => {
  t.same([...documented.keys()].sort(), [...objects.map(([heading]) => heading), 'result'].sort())
  t.end()
})

for (const [heading, schema] of objects) {
  t.test(`the section ${heading} explains exactly the fields of its schema`, (t) => {
    t.same(documented.get(heading)?.toSorted(), [...new Set(fieldsOf(schema))].sort())
    t.end()
  })
}

t.test('the section result explains exactly the fields of the last line', (t) => {
  t.same(documented.get('result')?.toSorted(), result.toSorted())
  t.end()
})
