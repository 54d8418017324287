// What `apply` shows: the difference of each service to its current revision, in full: a value that is cut or
// masked would hide the very change that somebody looks for. Pure.
import type { ApplyAnswer, SpecChange } from '../api/schemas.ts'
import { formatText } from './format-values.ts'
import type { Colors } from './state-colors.ts'

export function renderChanges(answer: ApplyAnswer, isDryRun: boolean, colors: Colors): string {
  const changes = isNew(answer) ? answer.changes.flatMap(splitNew) : answer.changes
  const lines = changes.map((change) => renderChange(change, colors))
  return `${renderHead(answer, isDryRun, colors)}\n${lines.join('')}`
}

/** A dry run answers with the revision that there is, 0 for none; else it is the one just made. */
const isNew = ({ revision, changes }: ApplyAnswer): boolean =>
  revision <= 1 && changes.length > 0 && changes.every(({ before }) => isAbsent(before))

function renderHead(answer: ApplyAnswer, isDryRun: boolean, colors: Colors): string {
  const { service, environment, revision, isChanged } = answer
  const name = colors.bold(`${service} in ${environment}`)
  if (!isChanged) return `${name}: unchanged${revision === 0 ? '' : `, revision ${String(revision)}`}`
  const what = isDryRun ? 'would change' : `applied as revision ${String(revision)}`
  return isNew(answer) ? `${name}: ${isDryRun ? 'would be new' : `new, ${what}`}` : `${name}: ${what}`
}

/** One line, with values in full. */
export function renderChange({ path, before, after }: SpecChange, colors: Colors): string {
  const name = formatText(path)
  if (isAbsent(before)) return `${colors.green(`  + ${name}: ${formatValue(after)}`)}\n`
  if (isAbsent(after)) return `${colors.red(`  - ${name}: ${formatValue(before)}`)}\n`
  return `${colors.yellow(`  ~ ${name}: ${formatValue(before)} -> ${formatValue(after)}`)}\n`
}

/** Of a new service: value by value, without what is empty or off, which nobody wrote. */
function splitNew({ path, after }: SpecChange): SpecChange[] {
  if (typeof after !== 'object' || after === null || Array.isArray(after)) {
    return after === null || after === false || isEmptyList(after) ? [] : [{ path, after }]
  }
  return Object.entries(after).flatMap(([key, value]) =>
    splitNew({ path: path === '' ? key : `${path}.${key}`, after: value })
  )
}

const isEmptyList = (value: unknown): boolean => Array.isArray(value) && value.length === 0
const isAbsent = (value: unknown): boolean => value === undefined || value === null

/** JSON on one line; also says `""` and `[]` for what is there but empty. */
const formatValue = (value: unknown): string => formatText(JSON.stringify(value) ?? 'nothing')
