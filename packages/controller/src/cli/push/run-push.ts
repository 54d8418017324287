// One push from its words to its result: which image, under which name, looked at, sent, told.
import { artifactRepository } from '@longshore/protocol'
import { parseImage } from '@longshore/protocol/spec'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import { formatBytes, formatText } from '../format-values.ts'
import { type Blob, type Chosen, chooseImage, namesIn, type Wanted } from './choose-image.ts'
import { imageInEngine, imageInFile } from './open-image.ts'
import { sendImage } from './send-image.ts'
import { showPush } from './show-push.ts'
import { type Survey, surveyArchive } from './survey-archive.ts'

type Flags = { url?: string; archive?: string; as?: string; output: 'text' | 'json' }

export async function runPush(context: CliContext, image: string | undefined, flags: Flags): Promise<void> {
  const wanted = image === undefined ? null : readName(image)
  const as = flags.as === undefined ? null : readName(flags.as)
  const openImage =
    flags.archive === undefined ? imageInEngine(nameOf(demand(wanted))) : imageInFile(flags.archive)
  const client = await context.connect(flags.url)
  const registry = await client.registry()
  const stop = new AbortController()
  const stopListening = context.onSignal(() => stop.abort())
  const show = showPush(context)
  try {
    await registry.demandEntry(stop.signal)
    show.note('reading the image')
    const survey = await surveyArchive(await openImage())
    const chosen = chooseImage(survey, wanted)
    const name = as ?? wanted ?? onlyName(survey)
    const target = { repository: artifactRepository(name.repository), tag: name.tag }
    const work = { client: registry, target, openImage, watcher: show.watcher, signal: stop.signal }
    const sent = await sendImage(work, chosen)
    show.end()
    context.stdout.write(render({ name, chosen, sent }, flags.output))
  } catch (error) {
    if (!stop.signal.aborted) throw error
    throw new CliError(
      'connection-lost',
      'interrupted; blobs that arrived whole are kept for a while, push again'
    )
  } finally {
    show.end()
    stopListening()
  }
}

const demand = (wanted: Wanted | null): Wanted => {
  if (wanted !== null) return wanted
  throw new CliError('usage', 'name the image to push, or a file by --archive')
}

/** @throws CliError usage */
const readName = (text: string): Wanted => {
  try {
    const { repository, tag, digest } = parseImage(text)
    if (digest === null) return { repository, tag: tag ?? 'latest' }
  } catch (cause) {
    throw new CliError('usage', `${formatText(text)} is no name of an image: ${(cause as Error).message}`)
  }
  throw new CliError('usage', `${formatText(text)} names an image by its digest; it is stored under a tag`)
}

const nameOf = ({ repository, tag }: Wanted): string => `${repository}:${tag}`

const onlyName = (survey: Survey): Wanted => {
  const names = namesIn(survey)
  const [only, ...others] = names
  // an OCI archive may know only the tag
  if (only?.includes(':') && others.length === 0) return readName(only)
  throw new CliError(
    'usage',
    'say under which name to store the image: longshore push --archive FILE NAME:TAG',
    [names.length === 0 ? 'the archive names none' : `the archive names: ${names.map(formatText).join(', ')}`]
  )
}

type Result = { name: Wanted; chosen: Chosen; sent: readonly Blob[] }

const render = ({ name, chosen, sent }: Result, output: Flags['output']): string => {
  const digest = chosen.manifests.at(-1)?.digest ?? ''
  const sentBytes = sent.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const image = nameOf(name)
  if (output === 'json') {
    const blobs = { total: chosen.blobs.length, sent: sent.length, sentBytes }
    const { configDigest } = chosen
    return `${JSON.stringify({ image, digest, configDigest, blobs }, null, 2)}\n`
  }
  return `${image} ${digest}, ${sent.length} of ${chosen.blobs.length} blobs sent, ${formatBytes(sentBytes)}\n`
}
