// The service that a docker run command becomes, while its options are read one by one: values with the option that
// each comes from, what a service file has no word for, and what means nothing for a service.
import { CliError } from '../cli-errors.ts'
import { hasVariable, literalOf, splitPair } from './value-text.ts'

/** An option as it was given; `value` as a service file writes it. */
export type Given = { option: string; value: string }
/** `web.ports[0]` -> what made it. */
export type Origins = ReadonlyMap<string, Given>
/** A part of the command line that the service file lacks, and what to do about it. */
export type LeftOut = { what: string; advice: string }

type Tree = { [key: string]: unknown }

/** With names of variables only: their values are nobody's business on a terminal. */
export const textOf = ({ option, value }: Given): string => {
  if (option === '--env') return `${option} ${splitPair(value)[0]}`.trimEnd()
  return value === '' ? option : `${option} ${literalOf(value) ?? value}`
}

export class ServiceDraft {
  readonly service = emptyTree()
  readonly networks = new Set<string>()
  readonly volumes = new Set<string>()
  readonly leftOut: LeftOut[] = []
  /** Options that concern one call of docker run, not a service. */
  readonly idle = new Set<string>()
  readonly origins = new Map<string, Given>()
  /** With `--publish-all`. */
  isAllPublished = false

  /** Later ones win, as with docker run. @param path a key, or keys from the outermost in */
  set(path: string | readonly string[], value: unknown, given: Given): void {
    const keys = [path].flat()
    this.#mapAt(keys.slice(0, -1))[keys.at(-1) ?? ''] = value
    this.origins.set(keys.join('.'), given)
  }

  /** One more item of the list. */
  push(path: string, item: unknown, given: Given): void {
    const list = this.listOf(path)
    this.origins.set(`${path}[${String(list.length)}]`, given)
    this.service[path] = [...list, item]
  }

  listOf(path: string): readonly unknown[] {
    const list = this.service[path]
    return Array.isArray(list) ? list : []
  }

  /** One `NAME=VALUE` of a map. @param absent stands for the value where there is none */
  put(path: string | readonly string[], given: Given, absent: '' | null = ''): void {
    const [name, value] = splitPair(given.value)
    const literal = literalOf(name)
    if (literal === undefined || literal === '')
      throw new CliError('usage', `${textOf(given)}: the name before the = must be known`)
    this.set([...[path].flat(), literal], value ?? absent, given)
  }

  leaveOut(given: Given, advice: string, what: string = textOf(given)): void {
    this.leftOut.push({ what, advice })
  }

  #mapAt(keys: readonly string[]): Tree {
    let at = this.service
    for (const key of keys) {
      const found = at[key]
      const next = isTree(found) ? found : emptyTree()
      at[key] = next
      at = next
    }
    return at
  }
}

/** Without a prototype: names of variables and labels are anything, `__proto__` too. */
const emptyTree = (): Tree => Object.create(null)

const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A number where the text is exactly one, so that it stands without quotes. */
export const numberOrText = (value: string): number | string =>
  /^-?\d{1,15}(?:\.\d{1,9})?$/.test(value) && String(Number(value)) === value ? Number(value) : value

/** As Go reads one. @returns undefined: it is none */
export const readBoolean = (text: string): boolean | undefined => {
  if (/^(?:1|t|T|true|TRUE|True)$/.test(text)) return true
  return /^(?:0|f|F|false|FALSE|False)$/.test(text) ? false : undefined
}

/** @throws CliError usage: for what docker run would refuse too */
export const refuseValue = (given: Given, reason: string): CliError =>
  new CliError('usage', `${textOf(given)}: ${reason}`)

/** A path that is another one for whoever calls docker run, or from another folder. */
export const isUncertainPath = (path: string): boolean =>
  /^\.|^~/.test(path) ||
  /\$\{(?:HOME|PWD|USER|OLDPWD|LOGNAME)\b/.test(path) ||
  (path.includes('/') && !path.startsWith('/') && !hasVariable(path))
