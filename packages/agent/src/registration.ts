// Who the agent is at this moment and whose commands it takes: the stored identity with the controller's keys,
// made by the first registration, replaced by a later one, grown when the controller's keys rotate.
import { type ControllerKeys, openControllerKeys } from './controller-keys.ts'
import { AgentExit } from './exit-codes.ts'
import type { Identity } from './identity.ts'
import type { Ask, Log } from './link.ts'

export type Registration = {
  identity(): Identity
  keys(): ControllerKeys
  /** The two answers to a session that failed. Neither rejects. */
  refreshKeys(): Promise<void>
  registerAgain(): Promise<void>
}

type Ports = {
  ask: Ask
  log: Log
  /** Asks the controller with the host's join token, until it answers. */
  enrol: () => Promise<Identity>
  save: (identity: Identity) => Promise<void>
}

/** @param stored null: the host registers now, which may take as long as the controller is away */
export const openRegistration = async (ports: Ports, stored: Identity | null): Promise<Registration> => {
  const adopt = async (identity: Identity): Promise<Member> => {
    const member: Member = { identity, keys: await openStoredKeys(identity, (next) => keep(next)) }
    const keep = async (keyChain: string[]): Promise<void> => {
      member.identity = { ...member.identity, keyChain }
      await ports.save(member.identity)
    }
    return member
  }
  const register = async (): Promise<Member> => {
    const identity = await ports.enrol()
    await ports.save(identity)
    return adopt(identity)
  }
  let member = stored === null ? await register() : await adopt(stored)
  return {
    identity: () => member.identity,
    keys: () => member.keys,
    async refreshKeys() {
      try {
        await member.keys.refresh(ports.ask)
      } catch (error) {
        ports.log.warn({ err: error }, "the controller's keys could not be followed")
      }
    },
    async registerAgain() {
      try {
        member = await register()
      } catch (error) {
        ports.log.warn({ err: error }, 'this host could not be registered again')
      }
    }
  }
}

type Member = { identity: Identity; keys: ControllerKeys }

/** @throws AgentExit `data-directory` */
export const openStoredKeys = async (
  identity: Identity,
  save: (keyChain: string[]) => Promise<void>
): Promise<ControllerKeys> => {
  try {
    return await openControllerKeys(identity, save)
  } catch (cause) {
    throw new AgentExit(
      'data-directory',
      'identity.json holds a damaged key chain; restore it, or remove it to register anew',
      { cause }
    )
  }
}
