// `longshore controller init|start|health|backup|restore`: the server itself, and its data. Its modules load only here; no other command pays for them.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { CliError, type CliErrorCode } from '../cli-errors.ts'
import { parseList, parseListen, parseSize, parseWait } from '../parse-values.ts'

type BackupFlags = { data: string; images?: true; force?: true }
type StartFlags = {
  data: string
  listen: string
  tlsCert?: string
  tlsKey?: string
  trustedProxies: string[]
  lostAfter: number
  pauseLimit: number
  imageGrace: number
  imageStore?: string
  keepFree: number
}

export function addController(program: Command, context: CliContext): void {
  const group = program.command('controller').description('The server that deploys.')
  group
    .command('init')
    .description(
      'Makes a data directory with its keys and prints the first API token alone; it is not shown again.'
    )
    .requiredOption('--data <dir>', 'data directory to make')
    .action(async ({ data }: { data: string }) => {
      const { initController } = await import('../../main.ts')
      const { token } = await failing(() => initController({ dataDir: data }))
      context.stdout.write(`${token}\n`)
    })
  addCare(group, context)
  group
    .command('start')
    .description('Runs the controller until SIGTERM or SIGINT.')
    .requiredOption('--data <dir>', 'data directory that `controller init` made')
    .addOption(
      new Option('--listen <host:port>', 'address to listen on')
        .argParser(parseListen)
        .default('127.0.0.1:7300')
    )
    .option('--tls-cert <file>', 'certificate chain, PEM; needs --tls-key')
    .option('--tls-key <file>', 'private key of the certificate, PEM; needs --tls-cert')
    .addOption(
      new Option(
        '--trusted-proxies <cidrs>',
        'addresses of proxies whose forwarded addresses count, comma-separated'
      )
        .argParser(parseList)
        .default([], 'none')
    )
    .addOption(
      new Option('--lost-after <duration>', 'how long a host may be gone during a switch before it is lost')
        .argParser(parseWait)
        .default(60_000, '60s')
    )
    .addOption(
      new Option('--pause-limit <duration>', 'a pause that nobody decides on goes back after this')
        .argParser(parseWait)
        .default(3_600_000, '1h')
    )
    .addOption(
      new Option('--image-grace <duration>', 'images that nothing needs are removed after this')
        .argParser(parseWait)
        .default(86_400_000, '24h')
    )
    .option('--image-store <url>', 'registry that keeps images, instead of files in the data directory')
    .addOption(
      new Option('--keep-free <size>', 'images leave so much of the disk to everything else')
        .argParser(parseSize)
        .default(256 * 1024 * 1024, '256m')
    )
    .action((flags: StartFlags) => runController(context, flags))
}

function addCare(group: Command, context: CliContext): void {
  const dataDir = ['--data <dir>', 'data directory of the controller'] as const
  group
    .command('health')
    .description('Asks the controller that runs on a data directory whether it is of use.')
    .requiredOption(...dataDir)
    .action(async ({ data }: { data: string }) => {
      const { askController } = await import('../../care/main.ts')
      const words = await failing(() => askController({ dataDir: data }), 'not-healthy')
      context.stdout.write(`${words}\n`)
    })
  group
    .command('backup <file>')
    .description(
      'Saves database and keys in one file (- is standard output), whether the controller runs or not.'
    )
    .requiredOption(...dataDir)
    .option('--images', 'save the content of images too')
    .option('--force', 'replace the file if it is there')
    .action(async (file: string, { data, images, force }: BackupFlags) => {
      if (file === '-' && context.stdout.isTerminal)
        throw new CliError('usage', 'a backup holds keys and is not written to a terminal')
      const { backUpController } = await import('../../care/main.ts')
      const options = { file, dataDir: data, hasImages: images === true, isOverwritten: force === true }
      const interrupted = new AbortController()
      const stopListening = context.onSignal(() => {
        interrupted.abort()
        // a second signal ends the process at once
        stopListening()
      })
      const saved = await failing(() => backUpController(options, interrupted.signal), 'backup-failed')
      stopListening()
      const { installation, files, bytes } = saved
      context.stderr.write(`saved installation ${installation}: ${files} files, ${bytes} bytes\n`)
    })
  group
    .command('restore <file>')
    .description('Makes an empty data directory that of a backup (- is standard input).')
    .requiredOption('--data <dir>', 'data directory to make; it must be empty or not exist')
    .action(async (file: string, { data }: { data: string }) => {
      const { restoreController } = await import('../../care/main.ts')
      const restored = await failing(() => restoreController({ file, dataDir: data }), 'backup-failed')
      const { installation, madeAtMs } = restored
      const made = new Date(madeAtMs).toISOString()
      context.stderr.write(`restored installation ${installation} as it was at ${made}\n`)
    })
}

async function runController(context: CliContext, flags: StartFlags): Promise<void> {
  const { data: dataDir, listen, tlsCert, tlsKey, trustedProxies, lostAfter: lostAfterMs } = flags
  const waits = { lostAfterMs, pauseLimitMs: flags.pauseLimit, imageGraceMs: flags.imageGrace }
  const { keepFree: keepFreeBytes, imageStore } = flags
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new CliError('usage', '--tls-cert and --tls-key are needed together')
  }
  const tls = tlsCert === undefined || tlsKey === undefined ? {} : { tls: { cert: tlsCert, key: tlsKey } }
  // listens first: a signal during the start must still end in a clean stop
  const stopWanted = Promise.withResolvers<void>()
  const stopListening = context.onSignal(() => stopWanted.resolve())
  const { startController } = await import('../../main.ts')
  const controller = await failing(() =>
    startController({
      dataDir,
      listen,
      trustedProxies,
      keepFreeBytes,
      ...(imageStore !== undefined && { imageStore }),
      ...waits,
      ...tls,
      ...outward(context.env)
    })
  )
  context.stderr.write(`listening on ${controller.url}\n`)
  const isLost = await Promise.race([stopWanted.promise.then(() => false), controller.lost.then(() => true)])
  // from here on a signal ends the process at once
  stopListening()
  await controller.stop()
  if (isLost) throw new CliError('taken-over', `another controller has taken over ${dataDir}`)
}

/** How webhooks and registries are reached; the same variables as for the CLI itself. */
function outward(env: CliContext['env']): { caFile?: string; allowPlaintext: boolean } {
  const caFile = env['LONGSHORE_CA_FILE']?.trim()
  return { ...(caFile ? { caFile } : {}), allowPlaintext: env['LONGSHORE_ALLOW_PLAINTEXT']?.trim() === '1' }
}

/** What keeps the controller from its work is told in words, not as a stack. */
async function failing<T>(work: () => Promise<T>, code: CliErrorCode = 'controller-not-started'): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof TypeError || !(cause instanceof Error)) throw cause
    throw new CliError(code, cause.message, [], { cause })
  }
}
