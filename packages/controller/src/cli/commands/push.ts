// `longshore push`: sends an image to the controller, only what it lacks of it, so that `deploy --tag` finds it there
// whatever registry is down.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'

type Flags = { url?: string; archive?: string; as?: string; output: 'text' | 'json' }

export function addPush(program: Command, context: CliContext): void {
  program
    .command('push [image]')
    .summary('send an image to the controller')
    .description(
      "Sends an image to the controller's store: what it lacks of it, and no more. The image is the local Docker Engine's, or in a file."
    )
    .addOption(
      new Option('--archive <file>', 'a file of `docker save`, or an OCI archive, instead of the engine')
    )
    .addOption(new Option('--as <image>', 'the name to store it under (default: its own)'))
    .addOption(
      new Option('--output <format>', 'how the result is written').choices(['text', 'json']).default('text')
    )
    .action(async (image: string | undefined, _own: unknown, self: Command) => {
      const { runPush } = await import('../push/run-push.ts')
      await runPush(context, image, self.optsWithGlobals<Flags>())
    })
}
