// The secret of a client with which people sign in: sealed together with the only place where it may be sent, so that a
// row that somebody changed in the database opens nothing.
import * as z from 'zod'
import { ApiError } from '../api/errors.ts'
import type { IssuerRow, Sealer } from '../ports.ts'

const content = z.object({ url: z.string(), clientId: z.string(), clientSecret: z.string() })
type Content = z.infer<typeof content>

export const sealClientSecret = (sealer: Sealer, { url, clientId, clientSecret }: Content): Promise<string> =>
  sealer.seal(JSON.stringify({ url, clientId, clientSecret }))

/** @throws ApiError `wrong-state`: the sealing key is another one than that of the secret */
export const openClientSecret = async (sealer: Sealer, { name, url, signIn }: IssuerRow): Promise<string> => {
  try {
    const opened = content.parse(JSON.parse(await sealer.open(signIn?.sealed ?? '')))
    if (opened.url === url && opened.clientId === signIn?.clientId) return opened.clientSecret
  } catch {
    // without the cause: it may quote what was opened
  }
  throw new ApiError(
    'wrong-state',
    `the controller cannot open its client secret of issuer ${name}: an administrator has to give it again with \`longshore issuers set\``
  )
}
