// Where the join token comes from: the setting itself, the file that provisioning left, or the credential of systemd. Read
// only while it is needed; removing the file afterwards is provisioning's business.
import { readFile } from 'node:fs/promises'
import { AgentExit } from '../exit-codes.ts'

type TokenSources = {
  joinToken: string | null
  joinTokenFile: string | null
  /** May be missing or blank: the unit has an empty one where the file is gone. */
  joinTokenCredential: string | null
}

/** @throws AgentExit `settings` when there is none; the token is in no message */
export const readJoinToken = async (from: TokenSources): Promise<string> => {
  if (from.joinToken !== null) return from.joinToken.trim()
  if (from.joinTokenFile !== null) {
    const token = await readToken(from.joinTokenFile)
    if (token !== '') return token
    throw new AgentExit('settings', `LONGSHORE_JOIN_TOKEN_FILE: ${from.joinTokenFile} is empty`)
  }
  const { joinTokenCredential: credential } = from
  const token = credential === null ? '' : await readToken(credential, { isOptional: true })
  if (token !== '') return token
  throw new AgentExit(
    'settings',
    'LONGSHORE_JOIN_TOKEN_FILE: this host is not registered yet and has no join token; create one with `longshore join-token create` and set this or LONGSHORE_JOIN_TOKEN, or put it where the unit loads its credential from'
  )
}

const readToken = async (path: string, { isOptional = false } = {}): Promise<string> => {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (isOptional && cause.code === 'ENOENT') return ''
    throw new AgentExit('settings', `LONGSHORE_JOIN_TOKEN_FILE: ${path} cannot be read: ${cause.message}`, {
      cause
    })
  })
  return text.trim()
}
