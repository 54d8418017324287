// The options of every command that asks for a deployment, defined once.
import { type Command, Option } from 'commander'
import { parseReason, parseWait } from './parse-values.ts'
import { addWaitOptions, type WaitFlags } from './wait-options.ts'

export type RequestFlags = WaitFlags & {
  offline: 'fail' | 'skip'
  waitForLock?: number
  /** false: none, not even the default. */
  idempotencyKey?: string | false
  reason?: string
  /** false: none, whatever the environment says. */
  build?: string | false
}

export const addRequestOptions = (command: Command): Command => {
  command
    .addOption(new Option('--wait', 'wait for the end (the default)').conflicts('detach'))
    .addOption(new Option('--detach', 'print the id once accepted and end').conflicts(['junit', 'ndjson']))
    .addOption(
      new Option('--offline <action>', 'what to do about hosts that are not connected')
        .choices(['fail', 'skip'])
        .default('fail')
    )
    .addOption(
      new Option('--wait-for-lock <duration>', 'wait this long for another deployment to end').argParser(
        parseWait
      )
    )
    .option('--idempotency-key <key>', 'the same key again attaches (default: from BUILD_TAG, when set)')
    .option('--no-idempotency-key', 'no key, whatever BUILD_TAG is')
    .addOption(new Option('--reason <text>', 'why; shown to whoever meets the lock').argParser(parseReason))
    .addOption(
      new Option('--build <name>', 'which build asks, an address or a name (default: as CI says)').argParser(
        parseReason
      )
    )
    .option('--no-build', 'no build, whatever CI says')
  return addWaitOptions(command)
}
