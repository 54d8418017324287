// Which keys the agent takes for the controller's, now and after a rotation: those of the stored chain from the
// join token's key on. A longer chain is accepted only if it goes on from the newest key known so far.
import { ProtocolError, type VerifyKey, verifyKeyChain } from '@longshore/protocol'
import * as z from 'zod'
import type { Identity } from './identity.ts'
import type { Ask } from './link.ts'

export type ControllerKeys = {
  find(kid: string): VerifyKey | undefined
  /** Checks a chain that the controller sent, and stores it. @throws ProtocolError `controller-untrusted` */
  follow(chain: readonly string[]): Promise<void>
  /** Asks the controller for its chain, when a frame came under a key not known here. Rejects as `follow`. */
  refresh(ask: Ask): Promise<void>
}

/** GET /v1/keys */
const keysAnswer = z.object({ chain: z.array(z.string()) })

/** @param save stores the grown chain; awaited before its keys count */
export const openControllerKeys = async (
  identity: Pick<Identity, 'installation' | 'trusted' | 'keyChain'>,
  save: (keyChain: string[]) => Promise<void>
): Promise<ControllerKeys> => {
  const { trusted, installation } = identity
  let keys = await verifyKeyChain(identity.keyChain, trusted, installation)
  const follow = async (chain: readonly string[]): Promise<void> => {
    const next = await verifyKeyChain(chain, trusted, installation)
    const newest = keys.at(-1)?.kid
    if (!next.some((key) => key.kid === newest)) {
      throw new ProtocolError('controller-untrusted', 'the chain does not hold the newest key known here')
    }
    if (next.length === keys.length) return
    await save([...chain])
    keys = next
  }
  return {
    find: (kid) => keys.find((key) => key.kid === kid),
    follow,
    async refresh(ask) {
      const answer = await ask('GET', '/v1/keys')
      await follow(keysAnswer.parse(JSON.parse(answer.body)).chain)
    }
  }
}
