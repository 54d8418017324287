// The options of every command that waits for a deployment, defined once.
import { type Command, Option } from 'commander'
import { outputOption } from './output-format.ts'
import { parseWait } from './parse-values.ts'

/** A run of one host may take 15 minutes by default; a pipeline wants an answer by then. */
const defaultTimeoutMs = 15 * 60_000

export const addWaitOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--timeout <duration>', 'stop waiting after this long; the deployment goes on')
        .argParser(parseWait)
        .default(defaultTimeoutMs, '15m')
    )
    .addOption(
      new Option('--on-abort <action>', 'what SIGINT or SIGTERM does to the deployment while waiting')
        .choices(['cancel', 'detach'])
        .default('cancel')
    )
    .addOption(outputOption())
