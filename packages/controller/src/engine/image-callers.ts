// Who asks the image store? People and pipelines by an API token or an ID token, agents by a pull token that they sign themselves and
// that lets them read images and nothing else.
import {
  importVerifyKey,
  ProtocolError,
  readPullTokenIssuer,
  typOf,
  verifyPullToken
} from '@longshore/protocol'
import { decodeProtectedHeader } from 'jose'
import { ApiError } from '../api/errors.ts'
import type { AgentRow, Clock, Store } from '../ports.ts'
import type { Callers } from './callers.ts'
import type { Installation } from './installation.ts'
import type { Caller } from './tokens.ts'

export type ImageCallers = {
  /**
   * @param token an API token, an ID token or a pull token
   * @throws ApiError `unauthenticated`; `forbidden` when the agent was recognised and may not
   */
  authenticate(token: string, address: string): Promise<Caller>
}

type Ports = { callers: Callers; store: Store; clock: Clock; installation: Installation }

export const createImageCallers = (ports: Ports): ImageCallers => ({
  authenticate: (token, address) =>
    isPullToken(token) ? authenticateAgent(ports, token, address) : ports.callers.authenticate(token, address)
})

const isPullToken = (token: string): boolean => {
  try {
    return decodeProtectedHeader(token).typ === typOf('pull')
  } catch {
    return false
  }
}

const authenticateAgent = async (ports: Ports, token: string, address: string): Promise<Caller> => {
  const agent = await verifyAgent(ports, token).catch((error: unknown) => {
    if (!(error instanceof ProtocolError)) throw error
    const isRecognised = error.code === 'expired' || error.code === 'clock-skew'
    throw new ApiError(isRecognised ? 'forbidden' : 'unauthenticated', error.message, {})
  })
  if (agent.state !== 'active') throw new ApiError('forbidden', `agent ${agent.id} is ${agent.state}`)
  return {
    actor: { kind: 'agent', id: agent.id, name: agent.hostName, address },
    allow: ['pull-image:*/*']
  }
}

const verifyAgent = async ({ store, clock, installation }: Ports, token: string): Promise<AgentRow> => {
  const agent = await store.agent(readPullTokenIssuer(token))
  if (agent === undefined) throw new ProtocolError('unknown-agent')
  const key = await importVerifyKey(agent.publicJwk)
  await verifyPullToken(token, { id: agent.id, key }, { installation: installation.id, nowMs: clock.nowMs() })
  return agent
}
