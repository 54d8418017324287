// What an issuer says of itself (OpenID Connect Discovery 1.0, section 4): believed of the issuer that was asked, and
// with addresses that nobody on the way can read or change.
import type * as z from 'zod'
import { discoveryUrlOf, refusalOfEndpoint } from '../../core/access/issuer-url.ts'
import { IssuerUnavailable } from '../../ports.ts'
import { type AskIssuer, getDocument } from './ask-issuer.ts'

/**
 * @param schema of what is needed: members with an address are named `..._uri` or `..._endpoint`
 * @throws IssuerUnavailable, or as `ask`
 */
export const discoverIssuer = async <T extends object>(
  ask: AskIssuer,
  issuer: string,
  schema: z.ZodType<T>,
  signal: AbortSignal
): Promise<T & { issuer: string }> => {
  const document = await getDocument(ask, discoveryUrlOf(issuer), signal)
  const found = schema.safeParse(document)
  if (!found.success) throw new IssuerUnavailable('its discovery document is not valid')
  if ((document as { issuer?: unknown }).issuer !== issuer)
    throw new IssuerUnavailable('its discovery document is of another issuer')
  for (const [name, value] of Object.entries(found.data)) {
    if (!/_(?:uri|endpoint)$/.test(name) || typeof value !== 'string') continue
    const refusal = refusalOfEndpoint(issuer, name, value)
    if (refusal !== undefined) throw new IssuerUnavailable(refusal)
  }
  return { ...found.data, issuer }
}
