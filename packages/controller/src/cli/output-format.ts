// `--output text|json|ndjson` for commands that list: one table, one document, or one object a line.
import { Option } from 'commander'
import type { CliContext } from './cli-context.ts'
import { CliError } from './cli-errors.ts'

export const outputFormats = ['text', 'json', 'ndjson'] as const
export type OutputFormat = (typeof outputFormats)[number]

export const outputOption = (): Option =>
  new Option('--output <format>', 'how the result is written').choices(outputFormats).default('text')

/** @param type the `type` of each ndjson line */
export function writeList<T extends object>(
  context: CliContext,
  format: OutputFormat,
  type: string,
  items: readonly T[],
  toText: () => string
): void {
  if (format === 'text') context.stdout.write(toText())
  else if (format === 'json') context.stdout.write(`${JSON.stringify(items, null, 2)}\n`)
  else {
    const at = new Date(context.nowMs()).toISOString()
    context.stdout.write(items.map((item) => `${JSON.stringify({ type, at, ...item })}\n`).join(''))
  }
}

export const watchOption = (): Option =>
  new Option('--watch', 'stay, and show what changes: redrawn on a terminal, a line per change elsewhere')

/** @throws CliError usage */
export function refuseFormat(watch: true | undefined, format: OutputFormat): void {
  if (watch !== true || format === 'text') return
  throw new CliError('usage', '--watch is for people; for programs there is: longshore events --follow')
}

/** `longshore status api --env staging` */
export const titleOf = (command: string, name: string | undefined, environment: string | undefined): string =>
  [
    `longshore ${command}`,
    ...(name === undefined ? [] : [name]),
    ...(environment === undefined ? [] : [`--env ${environment}`])
  ].join(' ')
