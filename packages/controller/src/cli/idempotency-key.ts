// Which idempotency key a request is sent with: the one given, or one made of Jenkins' BUILD_TAG and the request, so
// that a step that is run again in the same build finds its deployment, and another step of the build its own. Pure.
import type { DeployAsked } from './client.ts'
import type { Environment } from './read-settings.ts'

/** Keys are shown in messages and in the audit: the build is readable in front. The API takes 300. */
const maxTagChars = 200

/** @param option false or '': no key */
export function idempotencyKey(
  option: string | false | undefined,
  env: Environment,
  request: DeployAsked
): string | null {
  if (option === false || option === '') return null
  if (option !== undefined) return option
  const tag = env['BUILD_TAG'] ?? ''
  // a plan begins nothing that could be found again
  if (tag === '' || request.mode === 'plan') return null
  const { createHash } = process.getBuiltinModule('node:crypto')
  const digest = createHash('sha256')
    .update(stableText([tag, request]))
    .digest('hex')
    .slice(0, 32)
  return `${tag.slice(0, maxTagChars)} ${digest}`
}

/** JSON with the keys of every object in order: the same request has the same text. */
function stableText(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part
  )
}
