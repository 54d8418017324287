// The host policy file: read at start and whenever it changed, YAML checked by the schema of core/policy.ts.
// What it allows is decided there. A file that cannot be read refuses everything; one that was removed, nothing.
import { readFileSync, statSync } from 'node:fs'
import { parse } from 'yaml'
import * as z from 'zod'
import { hostPolicy, type PolicyState } from '../core/policy.ts'
import type { PolicySource } from '../ports.ts'

const maxPolicyBytes = 256 * 1024

/** @param path undefined: no policy was configured, everything is allowed */
export const createPolicySource = (path: string | undefined): PolicySource => {
  let cached: { stamp: string; state: PolicyState } | undefined
  const state = (): PolicyState => {
    if (path === undefined) return { kind: 'absent' }
    const stamp = stampOf(path)
    if (cached?.stamp !== stamp) cached = { stamp, state: readPolicy(path) }
    return cached.state
  }
  return {
    state,
    summary: () => {
      const now = state()
      return { state: now.kind, path: path ?? null, detail: describe(now) }
    }
  }
}

/** Judged at every command: a change counts for the next one, without a signal or a restart. */
const stampOf = (path: string): string => {
  try {
    const { mtimeMs, ino, size } = statSync(path)
    return `${mtimeMs}.${ino}.${size}`
  } catch (error) {
    return codeOf(error)
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unreadable'

const readPolicy = (path: string): PolicyState => {
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (error) {
    return codeOf(error) === 'ENOENT'
      ? { kind: 'absent' }
      : { kind: 'invalid', detail: `${path} cannot be read (${codeOf(error)})` }
  }
  if (content.length > maxPolicyBytes) return { kind: 'invalid', detail: `${path} is larger than 256 KiB` }
  try {
    const read = hostPolicy.safeParse(parse(content))
    if (read.success) return { kind: 'active', policy: read.data }
    return { kind: 'invalid', detail: `${path}: ${z.prettifyError(read.error)}`.slice(0, 1500) }
  } catch (error) {
    return {
      kind: 'invalid',
      detail: `${path}: ${error instanceof Error ? error.message : 'no YAML'}`.slice(0, 1500)
    }
  }
}

const describe = (state: PolicyState): string => {
  switch (state.kind) {
    case 'absent':
      return 'no policy file: everything is allowed'
    case 'active':
      return 'the policy file is in force'
    case 'invalid':
      return state.detail
    default:
      return state satisfies never
  }
}
