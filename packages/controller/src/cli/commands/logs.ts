// `longshore logs SERVICE`: what its containers write, of all its hosts in one place.
import { type Command, Option } from 'commander'
import type { LogEvent } from '../../api/schemas.ts'
import type { CliContext } from '../cli-context.ts'
import { type ExitCode, exitCodes } from '../exit-codes.ts'
import { followLogs } from '../follow-logs.ts'
import { formatText } from '../format-values.ts'
import { listenForEnd } from '../listen-for-end.ts'
import { momentAgo } from '../moment-ago.ts'
import { parseDuration, parseHosts, parseLogText, parseTail } from '../parse-values.ts'
import { emptyLogPicture, foldLogEvent, renderLogLine, renderLogNotice } from '../render-logs.ts'

type Flags = {
  url?: string
  env: string
  host?: string[]
  follow?: true
  since?: number
  tail?: number
  grep?: string
  timestamps?: true
  output: 'text' | 'ndjson'
}

export function addLogs(program: Command, context: CliContext): void {
  program
    .command('logs <service>')
    .description('Prints what the containers of a service write, of all its hosts.')
    .requiredOption('--env <name>', 'the environment')
    .option('--host <name>', 'only of this host; may be repeated', parseHosts)
    .option('--follow', 'go on with what is written, until a signal ends it')
    .addOption(new Option('--since <duration>', 'only of the last so long').argParser(parseDuration))
    .addOption(
      new Option('--tail <number>', 'only so many of the last lines of each container').argParser(parseTail)
    )
    .option('--grep <text>', 'only lines with this text in them, letter by letter', parseLogText)
    .option('--timestamps', "each line with its time, by the host's clock")
    .addOption(
      new Option('--output <format>', 'how the lines are written').choices(['text', 'ndjson']).default('text')
    )
    .action(async (service: string, _own: unknown, self: Command) => {
      context.exitCode = await printLogs(context, service, self.optsWithGlobals<Flags>())
    })
}

async function printLogs(context: CliContext, service: string, flags: Flags): Promise<ExitCode> {
  const { url, env, host, follow = false, since, tail, grep } = flags
  const client = await context.connect(url)
  const sinceMs = await momentAgo(client, since)
  const stopped = new AbortController()
  const stopListening = listenForEnd(context, () => stopped.abort())
  const asked = { environment: env, service, host: host?.join(','), follow, sinceMs, tail, grep }
  const hosts = new Map<string, string>()
  const shown = flags.output === 'ndjson' ? printJson(context) : printText(context, flags.timestamps === true)
  const event = (one: LogEvent): void => {
    if (one.type === 'host') hosts.set(one.host, one.state)
    shown.event(one)
  }
  try {
    await followLogs(client, asked, { event, notice: shown.notice }, stopped.signal)
    return codeOf([...hosts.values()])
  } catch (error) {
    if (stopped.signal.aborted) return exitCodes.succeeded
    throw error
  } finally {
    stopListening()
  }
}

/** Of hosts whose log could not be had. */
function codeOf(states: readonly string[]): ExitCode {
  const complete = states.filter((state) => state === 'complete').length
  if (complete === states.length) return exitCodes.succeeded
  return complete === 0 ? exitCodes.refused : exitCodes.mixed
}

type Shown = { event(event: LogEvent): void; notice(text: string): void }

const printJson = ({ stdout, stderr }: CliContext): Shown => ({
  event: (event) => stdout.write(`${JSON.stringify(event)}\n`),
  notice: (text) => stderr.write(`${formatText(text)}\n`)
})

/** Standard output has the lines of the log and nothing else. */
function printText({ stdout, stderr }: CliContext, hasTimes: boolean): Shown {
  let picture = emptyLogPicture
  return {
    event(event) {
      picture = foldLogEvent(picture, event)
      if (event.type === 'line') return stdout.write(`${renderLogLine(picture, event, hasTimes)}\n`)
      const notice = renderLogNotice(event)
      if (notice !== null) stderr.write(`-- ${notice}\n`)
    },
    notice: (text) => stderr.write(`-- ${formatText(text)}\n`)
  }
}
