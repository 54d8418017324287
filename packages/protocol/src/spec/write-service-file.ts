// A service file as text, from the keys that it shall have. What they mean is left to the reader.
import { stringify } from 'yaml'

/**
 * @param content plain data: maps, lists, texts, numbers, booleans, null
 * @param comments lines to stand before it
 */
export const writeServiceFile = (content: object, comments: readonly string[] = []): string => {
  const lines = comments.map((line) => `# ${line.replaceAll(/\s/g, ' ')}\n`).join('')
  // Texts that YAML 1.1 would take for something else (`on`, `22:22`) are quoted for the programs that still read it so.
  return lines + stringify(content, { compat: 'yaml-1.1', lineWidth: 0, nullStr: '' })
}
