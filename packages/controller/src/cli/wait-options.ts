// The options of every command that waits for a deployment, defined once.
import { type Command, Option } from 'commander'
import { type OutputFormat, outputOption } from './output-format.ts'
import { parseWait } from './parse-values.ts'

export type WaitFlags = {
  output: OutputFormat
  timeout: number
  onTimeout: 'cancel' | 'detach'
  onAbort: 'cancel' | 'detach'
  junit?: string
  ndjson?: string
  /** Only of commands that ask for a deployment. */
  detach?: boolean
  url?: string
}

/** A run of one host may take 15 minutes by default; a pipeline wants an answer by then. */
const defaultTimeoutMs = 15 * 60_000

export const addWaitOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--timeout <duration>', 'stop waiting for the end after this long')
        .argParser(parseWait)
        .default(defaultTimeoutMs, '15m')
    )
    .addOption(
      new Option('--on-timeout <action>', 'what the end of that time does to the deployment')
        .choices(['cancel', 'detach'])
        .default('detach')
    )
    .addOption(
      new Option('--on-abort <action>', 'what SIGINT or SIGTERM does to the deployment while waiting')
        .choices(['cancel', 'detach'])
        .default('cancel')
    )
    .addOption(new Option('--junit <file>', 'write how it ended as a JUnit report, a test case per host'))
    .addOption(
      new Option('--ndjson <file>', 'write its events and how it ended there too, one JSON object a line')
    )
    .addOption(outputOption())
