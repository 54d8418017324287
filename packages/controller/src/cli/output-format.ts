// `--output text|json|ndjson` for commands that list: one table, one document, or one object a line.
import { Option } from 'commander'
import type { CliContext } from './cli-context.ts'

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
