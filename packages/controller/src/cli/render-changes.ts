// What `apply` shows: the difference of each service to its current revision, in full: a value that is cut or
// masked would hide the very change that somebody looks for. Pure.
import type { ApplyAnswer, SpecChange } from '../api/schemas.ts'
import { formatText } from './format-values.ts'
import type { Colors } from './state-colors.ts'

export function renderChanges(answer: ApplyAnswer, isDryRun: boolean, colors: Colors): string {
  return `${renderHead(answer, isDryRun, colors)}\n${answer.changes
    .flatMap(splitWhole)
    .map((change) => renderChange(change, colors))
    .join('')}`
}

function renderHead(
  { service, environment, revision, isChanged }: ApplyAnswer,
  isDryRun: boolean,
  colors: Colors
): string {
  const name = colors.bold(`${service} in ${environment}`)
  if (!isChanged) return `${name}: unchanged${revision === 0 ? '' : `, revision ${String(revision)}`}`
  return isDryRun ? `${name}: would change` : `${name}: applied as revision ${String(revision)}`
}

function renderChange({ path, before, after }: SpecChange, colors: Colors): string {
  const name = formatText(path)
  if (isAbsent(before)) return `${colors.green(`  + ${name}: ${formatValue(after)}`)}\n`
  if (isAbsent(after)) return `${colors.red(`  - ${name}: ${formatValue(before)}`)}\n`
  return `${colors.yellow(`  ~ ${name}: ${formatValue(before)} -> ${formatValue(after)}`)}\n`
}

/** A new service arrives as one change of the whole spec: shown key by key, without the keys that say nothing. */
function splitWhole(change: SpecChange): SpecChange[] {
  const { path, before, after } = change
  if (path !== '' || !isAbsent(before) || typeof after !== 'object' || after === null) return [change]
  return Object.entries(after)
    .filter(([, value]) => !['null', '[]', '{}', 'false'].includes(JSON.stringify(value)))
    .map(([key, value]) => ({ path: key, before, after: value }))
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null

/** JSON on one line; also says `""` and `[]` for what is there but empty. */
const formatValue = (value: unknown): string => formatText(JSON.stringify(value) ?? 'nothing')
