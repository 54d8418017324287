// What deploy, rollback, attach and cancel have in common: ask, wait, show, tell how it ended.
import type { DeploymentView } from '../api/schemas.ts'
import type { CliContext } from './cli-context.ts'
import { CliError, exitCodeOfError, ProblemError } from './cli-errors.ts'
import type { Client } from './client.ts'
import { type ExitCode, exitCodes } from './exit-codes.ts'
import type { OutputFormat } from './output-format.ts'
import { renderError } from './render-error.ts'
import {
  type Asked,
  emptyDocument,
  exitCodeOfEnd,
  renderResult,
  renderUnknown,
  resultDocument
} from './render-result.ts'
import { createColors } from './state-colors.ts'
import { type WaitEnd, waitForDeployment } from './wait-for-deployment.ts'
import { createWatcher } from './watchers.ts'

export type WaitFlags = { output: OutputFormat; timeout: number; onAbort: 'cancel' | 'detach'; url?: string }
type Begin = (client: Client, signal: AbortSignal) => Promise<DeploymentView>

/** Asks for a deployment or reads one, waits for its end and writes the result. */
export async function runDeployment(
  context: CliContext,
  flags: WaitFlags,
  asked: Asked,
  begin: Begin
): Promise<ExitCode> {
  const client = await context.connect(flags.url)
  const options = { timeoutMs: flags.timeout, onAbort: flags.onAbort }
  const watcher = createWatcher(context, flags.output)
  try {
    const start = (signal: AbortSignal): Promise<DeploymentView> => begin(client, signal)
    const end = await waitForDeployment(client, start, options, watcher, (listener) =>
      context.onSignal(listener)
    )
    return writeEnd(context, flags.output, asked, end)
  } catch (error) {
    return writeFailure(context, flags.output, asked, error)
  }
}

/** `--detach`: the id is the result, as soon as the deployment is accepted. */
export async function beginDeployment(
  context: CliContext,
  flags: WaitFlags,
  asked: Asked,
  begin: Begin
): Promise<ExitCode> {
  const client = await context.connect(flags.url)
  try {
    const deployment = await begin(client, AbortSignal.timeout(flags.timeout))
    if (flags.output === 'text') context.stdout.write(`${deployment.id}\n`)
    else
      writeDocument(
        context,
        flags.output,
        resultDocument(deployment, deployment.outcome, null),
        exitCodes.succeeded
      )
    return exitCodes.succeeded
  } catch (error) {
    return writeFailure(context, flags.output, asked, error)
  }
}

function writeEnd(context: CliContext, format: OutputFormat, asked: Asked, end: WaitEnd): ExitCode {
  const code = exitCodeOfEnd(end)
  const { deployment } = end
  if (end.kind === 'unknown') context.stderr.write(`${renderUnknown(end, asked).join('\n')}\n`)
  if (format !== 'text') {
    const document =
      end.kind === 'ended'
        ? resultDocument(end.deployment, end.deployment.outcome ?? 'unknown', null)
        : deployment === null
          ? emptyDocument(asked, 'unknown', end.why, null)
          : resultDocument(deployment, 'unknown', end.why)
    writeDocument(context, format, document, code)
  } else if (end.kind === 'ended') {
    context.stdout.write(renderResult(end.deployment, createColors(context.stdout.hasColor)))
  } else if (deployment !== null) {
    context.stdout.write(`${deployment.id}\n`)
  }
  return code
}

/** No deployment came of it. Exit codes 2 and 3 leave stdout empty: nothing was asked, there is no outcome. */
function writeFailure(context: CliContext, format: OutputFormat, asked: Asked, error: unknown): ExitCode {
  const code = exitCodeOfError(error)
  context.stderr.write(renderError(error))
  const isRequest = asked.service !== null
  const isUnreached = error instanceof CliError && error.code === 'unreachable'
  if (isRequest && code === exitCodes.unknown && !isUnreached) {
    context.stderr.write(
      `  the request may have been accepted all the same; look with: longshore deployments\n`
    )
  }
  if (format === 'text' || code === exitCodes.usage || code === exitCodes.denied) return code
  // what is refused to attach or cancel is not that deployment's outcome
  if (!isRequest && code === exitCodes.refused) return code
  const problem = error instanceof ProblemError ? error.problem : null
  const reason = error instanceof Error ? error.message : String(error)
  const outcome = code === exitCodes.refused ? 'refused' : 'unknown'
  writeDocument(context, format, emptyDocument(asked, outcome, reason, problem), code)
  return code
}

function writeDocument(
  context: CliContext,
  format: OutputFormat,
  document: object,
  exitCode: ExitCode
): void {
  const at = new Date(context.nowMs()).toISOString()
  const text =
    format === 'json'
      ? JSON.stringify(document, null, 2)
      : JSON.stringify({ type: 'result', at, ...document, exitCode })
  context.stdout.write(`${text}\n`)
}
