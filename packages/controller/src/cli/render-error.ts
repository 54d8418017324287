// How an error is told on stderr: one line that says what, then what exists or what to do. Pure.
import { CliError, ProblemError } from './cli-errors.ts'
import { formatText, formatTime } from './format-values.ts'

export function renderError(error: unknown): string {
  const [first, ...rest] = describe(error)
  return [`error: ${first ?? ''}`, ...rest.map((line) => `  ${line}`), ''].join('\n')
}

function describe(error: unknown): string[] {
  if (error instanceof ProblemError) return describeProblem(error)
  if (error instanceof CliError)
    return [error.message, ...error.hints.flatMap((hint) => hint.split('\n'))].map(formatText)
  // a defect of this program: the stack is what its author needs
  return (error instanceof Error ? (error.stack ?? error.message) : String(error)).split('\n').map(formatText)
}

function describeProblem({ problem }: ProblemError): string[] {
  const { detail, title, code, known, lock, freeze, errors = [] } = problem
  return [
    `${formatText(detail === '' ? title : detail)} (${formatText(code)})`,
    ...(lock === undefined
      ? []
      : [
          `${formatText(lock.service)} is held by deployment ${lock.deployment} of release ${String(lock.release)}, requested by ${formatText(lock.holder)} at ${formatTime(lock.sinceMs)}${reasonOf(lock)}`,
          'to wait for it, add: --wait-for-lock 10m'
        ]),
    ...(freeze === undefined
      ? []
      : [
          `to unlock: longshore unlock ${[freeze.environment, ...(freeze.service === null ? [] : [freeze.service])].join(' ')}`
        ]),
    ...(errors.length < 2
      ? []
      : errors.map((one) => formatText(`${one.service}: ${one.detail} (${one.code})`))),
    ...(known === undefined
      ? []
      : [known.length === 0 ? 'there are none yet' : `there are: ${formatText(known.join(', '))}`])
  ]
}

const reasonOf = ({ reason }: { reason: string | null }): string =>
  reason === null ? '' : `: ${formatText(reason)}`
