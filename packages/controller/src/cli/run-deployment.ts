// What every command that waits for a deployment has in common: ask, wait, show, tell how it ended, report.
import type { DeploymentView } from '../api/schemas.ts'
import type { CliContext } from './cli-context.ts'
import { CliError, exitCodeOfError, ProblemError } from './cli-errors.ts'
import type { Client } from './client.ts'
import { type ExitCode, exitCodes } from './exit-codes.ts'
import { type Suite, suiteOfEnd, suiteOfNothing, suiteOfUnknown } from './junit-suite.ts'
import type { OutputFormat } from './output-format.ts'
import { renderError } from './render-error.ts'
import { renderPlan } from './render-plan.ts'
import {
  type Asked,
  emptyDocument,
  exitCodeOfEnd,
  renderResult,
  renderUnknown,
  resultDocument
} from './render-result.ts'
import { createColors } from './state-colors.ts'
import { type Asking, type WaitEnd, type WaitOptions, waitForDeployment } from './wait-for-deployment.ts'
import type { WaitFlags } from './wait-options.ts'
import { createWatcher } from './watchers.ts'
import { type EventFile, openEventFile, withEvents } from './write-events.ts'
import { writeJunit } from './write-junit.ts'

export type Begin = (client: Client, asking: Asking) => Promise<DeploymentView>

/** Shorter, and a deployment that goes back as it should would often end with 7. */
const minCancelGraceMs = 5 * 60_000

/**
 * Asks for a deployment or reads one, waits for its end (`--detach`: for its acceptance) and writes the result.
 * @throws CliError file-unwritable, before anything is asked
 */
export async function runDeployment(
  context: CliContext,
  flags: WaitFlags,
  asked: Asked,
  begin: Begin
): Promise<ExitCode> {
  const { junit, output, ndjson } = flags
  const nothing = (kind: 'failure' | 'error', type: string, text: string): Suite =>
    suiteOfNothing(asked, { kind, type, text }, context.nowMs())
  const untold = 'the command was ended before it could say how the deployment ended'
  if (junit !== undefined) await writeJunit(junit, nothing('error', 'unknown', untold))
  const events = ndjson === undefined ? null : openEventFile(ndjson)
  const told: Told = { context, format: output, events }
  try {
    const client = await context.connect(flags.url)
    const watcher = withEvents(createWatcher(context, output, flags.detach === true), events)
    const end = await waitForDeployment(
      client,
      (asking) => begin(client, asking),
      optionsOf(flags),
      watcher,
      (listener) => context.onSignal(listener)
    )
    const code = writeEnd(told, asked, end)
    await report(context, junit, () => suiteOf(end, (text) => nothing('error', 'unknown', text)))
    return code
  } catch (error) {
    const code = writeFailure(told, asked, error)
    const kind = code === exitCodes.unknown ? 'error' : 'failure'
    await report(context, junit, () => nothing(kind, codeOf(error), renderError(error)))
    return code
  }
}

const optionsOf = ({ timeout, onTimeout, onAbort, detach }: WaitFlags): WaitOptions => ({
  timeoutMs: timeout,
  onTimeout,
  cancelGraceMs: Math.max(timeout, minCancelGraceMs),
  onAbort,
  isDetached: detach === true
})

const suiteOf = (end: WaitEnd, nothing: (text: string) => Suite): Suite => {
  if (end.kind !== 'unknown') return suiteOfEnd(end.deployment)
  return end.deployment === null ? nothing(end.why) : suiteOfUnknown(end.deployment, end.why)
}

const codeOf = (error: unknown): string =>
  error instanceof ProblemError ? error.problem.code : error instanceof CliError ? error.code : 'internal'

/** The exit code stays what happened; the report that is there says that the end is not known. */
async function report(context: CliContext, path: string | undefined, suite: () => Suite): Promise<void> {
  if (path === undefined) return
  try {
    await writeJunit(path, suite())
  } catch (error) {
    context.stderr.write(renderError(error))
  }
}

/** Where an end is told. */
type Told = { context: CliContext; format: OutputFormat; events: EventFile | null }

function writeEnd(told: Told, asked: Asked, end: WaitEnd): ExitCode {
  const { context, format, events } = told
  const code = exitCodeOfEnd(end)
  if (end.kind === 'unknown') context.stderr.write(`${renderUnknown(end, asked).join('\n')}\n`)
  const document = documentOf(end, asked)
  events?.write(resultOf(context, document, code))
  if (format !== 'text') writeDocument(context, format, document, code)
  else if (end.kind === 'ended') {
    const render = end.deployment.mode === 'plan' ? renderPlan : renderResult
    context.stdout.write(render(end.deployment, createColors(context.stdout.hasColor)))
  } else if (end.deployment !== null) context.stdout.write(`${end.deployment.id}\n`)
  return code
}

function documentOf(end: WaitEnd, asked: Asked): object {
  if (end.kind === 'begun') return resultDocument(end.deployment, end.deployment.outcome, null)
  if (end.kind === 'ended') return resultDocument(end.deployment, end.deployment.outcome ?? 'unknown', null)
  return end.deployment === null
    ? emptyDocument(asked, 'unknown', end.why, null)
    : resultDocument(end.deployment, 'unknown', end.why)
}

/** No deployment came of it. Exit codes 2 and 3 leave stdout empty: nothing was asked, there is no outcome. */
function writeFailure({ context, format, events }: Told, asked: Asked, error: unknown): ExitCode {
  const code = exitCodeOfError(error)
  context.stderr.write(renderError(error))
  const isRequest = asked.service !== null
  const isUnreached = error instanceof CliError && error.code === 'unreachable'
  if (isRequest && code === exitCodes.unknown && !isUnreached) {
    context.stderr.write(
      `  the request may have been accepted all the same; look with: longshore deployments\n`
    )
  }
  if (code === exitCodes.usage || code === exitCodes.denied) return code
  // what is refused to attach or cancel is not that deployment's outcome
  if (!isRequest && code === exitCodes.refused) return code
  const problem = error instanceof ProblemError ? error.problem : null
  const reason = error instanceof Error ? error.message : String(error)
  const outcome = code === exitCodes.refused ? 'refused' : 'unknown'
  const document = emptyDocument(asked, outcome, reason, problem)
  events?.write(resultOf(context, document, code))
  if (format !== 'text') writeDocument(context, format, document, code)
  return code
}

/** The last line of ndjson. */
const resultOf = (context: CliContext, document: object, exitCode: ExitCode): object => ({
  type: 'result',
  at: new Date(context.nowMs()).toISOString(),
  ...document,
  exitCode
})

function writeDocument(
  context: CliContext,
  format: OutputFormat,
  document: object,
  exitCode: ExitCode
): void {
  const text =
    format === 'json'
      ? JSON.stringify(document, null, 2)
      : JSON.stringify(resultOf(context, document, exitCode))
  context.stdout.write(`${text}\n`)
}
