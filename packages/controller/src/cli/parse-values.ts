// Reads what people type: durations, labels, counts, digests, ids. Pure; for options throws commander's
// InvalidArgumentError, which names the option and ends with exit code 2.
import { InvalidArgumentError } from 'commander'
import { CliError } from './cli-errors.ts'
import { formatText } from './format-values.ts'

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** Longest delay that a timer of Node takes is 24.8 days; a wait longer than that is a mistake. */
const maxWaitMs = 24 * 86_400_000

/** `90s`, `15m`, `1h30m`, `7d` -> milliseconds. */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+)(ms|[smhd])/g)]
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== text) {
    throw new InvalidArgumentError('Expected a duration with units, for example 90s, 15m, 1h30m or 7d.')
  }
  const ms = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ''] ?? 0), 0)
  if (ms === 0) throw new InvalidArgumentError('Expected a duration above 0.')
  if (!Number.isSafeInteger(ms)) throw new InvalidArgumentError('Expected a shorter duration.')
  return ms
}

export function parseWait(text: string): number {
  const ms = parseDuration(text)
  if (ms > maxWaitMs) throw new InvalidArgumentError('Expected 24d or less.')
  return ms
}

const unitBytes: Record<string, number> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** `512k`, `256m`, `10g`, or bytes without a unit; in powers of 1024, as Docker counts. */
export function parseSize(text: string): number {
  const [, count, unit] = /^(\d{1,9})([kmg])?$/.exec(text.toLowerCase()) ?? []
  if (count === undefined) throw new InvalidArgumentError('Expected a size, for example 512m or 10g.')
  return Number(count) * (unitBytes[unit ?? ''] ?? 1)
}

export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 1.')
  return Number(text)
}

/** Those of the protocol, which every command would have to load for them. */
const maxTailLines = 100_000
const maxGrepChars = 256

/** Of logs: how many of the last lines. */
export function parseTail(text: string): number {
  const count = parseCount(text)
  if (count <= maxTailLines) return count
  throw new InvalidArgumentError(`Expected ${String(maxTailLines)} or less.`)
}

/** What is looked for in lines, letter by letter. */
export function parseLogText(text: string): string {
  if (text !== '' && text.length <= maxGrepChars && !/[\r\n]/.test(text)) return text
  throw new InvalidArgumentError(`Expected 1 to ${String(maxGrepChars)} characters of one line.`)
}

/** Of a repeated option. None at all, of a variable that is not set, would be every host. */
export const parseHosts = (text: string, previous: string[] = []): string[] => [
  ...previous,
  ...parseNames(text)
]

/** Collects `k=v` of a repeated option into one record. */
export function parseLabel(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const [, key, value] = /^([A-Za-z0-9_./-]{1,63})=(.{0,255})$/.exec(text) ?? []
  if (key === undefined || value === undefined) {
    throw new InvalidArgumentError('Expected KEY=VALUE, for example role=web.')
  }
  if (Object.hasOwn(previous, key)) throw new InvalidArgumentError(`Label ${key} is given twice.`)
  return { ...previous, [key]: value }
}

export const parseRepeated = (text: string, previous: string[] = []): string[] => [...previous, text]

export type Rule = { claims: Record<string, string>; allow: string[] }

/** `CLAIM=PATTERN ... PERMISSION ...`, separated by blanks: words with `=` are claims. Collected from a repeated option. */
export function parseRule(text: string, previous: Rule[] = []): Rule[] {
  const words = text.split(/\s+/).filter((word) => word !== '')
  const claims: Record<string, string> = {}
  for (const word of words.filter((one) => one.includes('='))) {
    const [, name = '', pattern = ''] = /^([^=]*)=(.*)$/s.exec(word) ?? []
    if (name === '' || pattern === '') throw new InvalidArgumentError(`Expected CLAIM=PATTERN, got ${word}.`)
    if (Object.hasOwn(claims, name)) throw new InvalidArgumentError(`Claim ${name} is given twice.`)
    claims[name] = pattern
  }
  const allow = words.filter((word) => !word.includes('='))
  if (Object.keys(claims).length > 0 && allow.length > 0) return [...previous, { claims, allow }]
  throw new InvalidArgumentError(
    'Expected claims and permissions, for example "sub=job-1 deploy:staging/api".'
  )
}

export function parseTag(text: string): string {
  if (!/^[\w][\w.-]{0,127}$/.test(text)) {
    throw new InvalidArgumentError('Expected an image tag alone, for example 1.2.3, without repository.')
  }
  return text
}

/** Image tags by service; `''` stands for every service that has none of its own. */
export type Tags = Readonly<Record<string, string>>

/** `TAG` for every service, `SERVICE=TAG` for one; collected from a repeated option. */
export function parseTags(text: string, previous: Tags = {}): Tags {
  const [, service = '', tag = ''] = /^(?:([^=]+)=)?(.*)$/s.exec(text) ?? []
  if (Object.hasOwn(previous, service)) {
    throw new InvalidArgumentError(service === '' ? 'It is given twice.' : `Given twice for ${service}.`)
  }
  return { ...previous, [service]: parseTag(tag) }
}

/** One line for other people. */
export function parseReason(text: string): string {
  const line = formatText(text).trim()
  if (line === '' || line.length > 500) throw new InvalidArgumentError('Expected 1 to 500 characters.')
  return line
}

export function parseDigest(text: string): string {
  if (!/^sha256:[0-9a-f]{64}$/.test(text))
    throw new InvalidArgumentError('Expected sha256: and 64 hex digits.')
  return text
}

/** `HOST:PORT`, `[::1]:7300`, `:7300`. */
export function parseListen(text: string): string {
  const port = /^(?:\[[0-9a-fA-F:.]+\]|[^:\s]*):(\d{1,5})$/.exec(text)?.[1]
  if (port === undefined || Number(port) > 65_535) {
    throw new InvalidArgumentError('Expected HOST:PORT, for example 0.0.0.0:7300 or [::1]:7300.')
  }
  return text
}

/** @throws CliError usage: before the controller is asked, which would answer with a pattern */
export function demandDeploymentId(text: string): void {
  if (/^dep_[0-9a-v]{20}$/.test(text)) return
  throw new CliError('usage', `${formatText(text)} is not the id of a deployment`, [
    'ids look like dep_0123456789abcdefghij; list them with: longshore deployments'
  ])
}

/** Names separated by commas, each once. */
export function parseNames(text: string): string[] {
  const names = parseList(text)
  if (names.length === 0) throw new InvalidArgumentError('Expected names separated by commas.')
  if (new Set(names).size < names.length) throw new InvalidArgumentError('A name is given twice.')
  return names
}

export const parseList = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
