// Words of a docker run command -> a draft of the service. Options are told from image and command as docker does it
// (pflag of Go): they end at the first word that is none.
import { nearestKey } from '@longshore/protocol/spec'
import { CliError } from '../cli-errors.ts'
import { type DockerOption, findOption, findShorthand, optionNames } from './docker-options.ts'
import { addAliases, settlePorts } from './map-network.ts'
import { type Given, readBoolean, ServiceDraft } from './service-draft.ts'
import { dollarsKept, literalOf, splitPair } from './value-text.ts'

export type DockerRun = {
  draft: ServiceDraft
  image: string
  /** Of the container today; null: docker made one up. */
  name: string | null
}
type Found = { given: Given; option: DockerOption }

/** @throws CliError usage */
export const readDockerRun = (words: readonly string[]): DockerRun => {
  const { found, rest } = readOptions(withoutProgram(words))
  const [image, ...command] = rest
  if (image === undefined || image === '')
    throw new CliError('usage', 'the docker run command names no image')
  if (/^sha256:[0-9a-f]{64}$/.test(image))
    throw new CliError('usage', 'IMAGE is an id, which only the host knows that has it: write its name')
  const draft = new ServiceDraft()
  draft.set('image', image, { option: 'IMAGE', value: image })
  const valuesOf = (name: string): Given[] =>
    found.flatMap(({ given }) => (given.option === `--${name}` ? [given] : []))
  const name = nameOf(valuesOf('name').at(-1))
  if (name !== null) {
    const value = dollarsKept(name)
    draft.set('container_name', value, { option: '--name', value })
  }
  for (const { given, option } of found) option.read(draft, given)
  if (command.length > 0) draft.set('command', command, { option: 'COMMAND', value: command.join(' ') })
  addAliases(draft, valuesOf('network-alias'))
  settlePorts(draft)
  return { draft, image, name }
}

/** docker takes a name with its leading slash, as it shows it, too. */
const nameOf = (given: Given | undefined): string | null => {
  if (given === undefined) return null
  const name = literalOf(given.value)
  if (name === undefined)
    throw new CliError('usage', '--name must be known: write it in place of the variable')
  return name.replace(/^\//, '')
}

/** What stands before the options: a prompt, sudo, docker run. Options alone will do. */
const withoutProgram = (words: readonly string[]): readonly string[] => {
  let rest = words
  if (rest[0] === '$$') rest = rest.slice(1)
  if (rest[0] === 'sudo') rest = rest.slice(1)
  if (rest[0]?.startsWith('-')) return rest
  const [program = '', ...args] = rest
  const isDocker = program === 'docker' || program.endsWith('/docker')
  if (isDocker && args[0] === 'run') return args.slice(1)
  if (isDocker && args[0] === 'container' && args[1] === 'run') return args.slice(2)
  throw new CliError('usage', 'expected a command that begins with docker run', [
    `it begins with: ${rest.slice(0, 3).join(' ').slice(0, 80) || 'nothing'}`
  ])
}

const readOptions = (words: readonly string[]): { found: Found[]; rest: string[] } => {
  const rest = [...words]
  const found: Found[] = []
  for (let word = rest[0]; word !== undefined && /^-./.test(word); word = rest[0]) {
    rest.shift()
    if (word === '--') break
    found.push(...(word.startsWith('--') ? [readLong(word, rest)] : readShort(word, rest)))
  }
  return { found, rest }
}

const readLong = (word: string, rest: string[]): Found => {
  const [written, value] = splitPair(word.slice(2))
  const known = findOption(written)
  if (known === undefined) {
    const nearest = nearestKey(written, optionNames)
    throw new CliError('usage', `docker run has no option --${written}`, [`did you mean --${nearest ?? ''}?`])
  }
  return readValue(known, value, rest)
}

/** `-dit`, `-p 80:80`, `-p80:80`, `-p=80:80`, `-dp 80:80`. */
const readShort = (word: string, rest: string[]): Found[] => {
  const found: Found[] = []
  let letters = word.slice(1)
  while (letters !== '') {
    const letter = letters[0] ?? ''
    const known = findShorthand(letter)
    if (known === undefined)
      throw new CliError('usage', `docker run has no option -${letter} (in ${splitPair(word)[0]})`)
    const tail = letters.slice(1)
    const hasValue = tail.startsWith('=') || (!known.option.isFlag && tail !== '')
    found.push(readValue(known, hasValue ? tail.replace(/^=/, '') : undefined, rest))
    letters = hasValue || !known.option.isFlag ? '' : tail
  }
  return found
}

const readValue = (
  { name, option }: { name: string; option: DockerOption },
  written: string | undefined,
  rest: string[]
): Found => {
  if (option.isFlag)
    return { option, given: { option: `--${name}`, value: readFlag(name, written ?? 'true') } }
  const value = written ?? rest.shift()
  if (value === undefined) throw new CliError('usage', `--${name} needs a value`)
  return { option, given: { option: `--${name}`, value } }
}

const readFlag = (name: string, text: string): 'true' | 'false' => {
  const isGiven = readBoolean(text)
  if (isGiven === undefined) throw new CliError('usage', `--${name}=${text}: expected true or false`)
  return isGiven ? 'true' : 'false'
}
