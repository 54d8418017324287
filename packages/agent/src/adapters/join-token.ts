// Where the join token comes from: the setting itself or the file that provisioning left. Read only while it is
// needed; removing the file afterwards is provisioning's business.
import { readFile } from 'node:fs/promises'
import { AgentExit } from '../exit-codes.ts'

/** @throws AgentExit `settings` when there is none; the token is in no message */
export const readJoinToken = async (from: {
  joinToken: string | null
  joinTokenFile: string | null
}): Promise<string> => {
  if (from.joinToken !== null) return from.joinToken.trim()
  if (from.joinTokenFile === null) {
    throw new AgentExit(
      'settings',
      'LONGSHORE_JOIN_TOKEN_FILE: this host is not registered yet and has no join token; create one with `longshore join-token create` and set this or LONGSHORE_JOIN_TOKEN'
    )
  }
  const text = await readFile(from.joinTokenFile, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new AgentExit(
      'settings',
      `LONGSHORE_JOIN_TOKEN_FILE: ${from.joinTokenFile} cannot be read: ${cause.message}`,
      { cause }
    )
  })
  if (text.trim() === '') {
    throw new AgentExit('settings', `LONGSHORE_JOIN_TOKEN_FILE: ${from.joinTokenFile} is empty`)
  }
  return text.trim()
}
