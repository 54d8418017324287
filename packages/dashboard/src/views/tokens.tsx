// Who may come in: hosts that wait for approval, join tokens and API tokens.
import type { AgentView, ApiTokenView, JoinTokenView } from '@longshore/controller/api'
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ask } from '../ask-controller.ts'
import { mayDo } from '../core/may-do.ts'
import { addressOf } from '../core/read-route.ts'
import { usePage } from '../page-context.ts'
import { Ago } from '../parts/ago.tsx'
import { Badge } from '../parts/badge.tsx'
import { ConfirmButton } from '../parts/confirm-button.tsx'
import { Table } from '../parts/table.tsx'

export const TokensPage = () => (
  <>
    <h1>Tokens and joins</h1>
    <HeldHosts />
    <Tokens
      title="Join tokens"
      path="v1/join-tokens"
      columns={['Environment', 'Labels', 'Used']}
      nameOf={(token: JoinTokenView) => token.id}
      cellsOf={(token: JoinTokenView) => [
        token.environment,
        Object.entries(token.labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(', ') || 'none',
        token.usesMax === null ? String(token.usesCount) : `${token.usesCount} of ${token.usesMax}`
      ]}
    />
    <Tokens
      title="API tokens"
      path="v1/api-tokens"
      columns={['Allows', 'Used']}
      nameOf={(token: ApiTokenView) => token.name}
      cellsOf={(token: ApiTokenView) => [
        token.allow.join(', '),
        <Ago key="used" atMs={token.lastUsedAtMs} />
      ]}
    />
  </>
)

const HeldHosts = () => {
  const { known } = usePage()
  const held = [...known.live.agents.values()].filter(({ state }) => state === 'held')
  return (
    <section>
      <h2>Hosts that wait for approval</h2>
      {held.length === 0 ? (
        <p class="dim">None.</p>
      ) : (
        <ul class="host-states">
          {held.map((agent) => (
            <HeldHost key={agent.id} agent={agent} />
          ))}
        </ul>
      )}
    </section>
  )
}

const HeldHost = ({ agent }: { agent: AgentView }) => {
  const { session, reload } = usePage()
  const { id, name, environment, reason } = agent
  const decide = (verb: 'approve' | 'revoke') => async (): Promise<void> => {
    await ask('POST', `v1/agents/${encodeURIComponent(id)}/${verb}`)
    await reload()
  }
  return (
    <li>
      <a href={addressOf({ view: 'host', id })}>{name}</a> in {environment}, joined{' '}
      <Ago atMs={agent.enrolledAtMs} />
      {reason !== undefined && <p>{reason}</p>}
      {mayDo(session.allow, 'agents', environment, '*') && (
        <p class="buttons">
          <ConfirmButton
            label="Approve"
            question={`Approve ${name} in ${environment}? A former host of this name is revoked.`}
            act={decide('approve')}
          />
          <ConfirmButton
            label="Revoke"
            isDangerous
            question={`Revoke ${name} in ${environment}? It gets no commands then.`}
            act={decide('revoke')}
          />
        </p>
      )}
    </li>
  )
}

type AnyToken = { id: string; createdAtMs: number; expiresAtMs: number | null; revokedAtMs: number | null }
type TokenList<T> = {
  title: string
  path: string
  columns: readonly string[]
  nameOf: (token: T) => string
  cellsOf: (token: T) => readonly ComponentChildren[]
}

const Tokens = <T extends AnyToken>({ title, path, columns, nameOf, cellsOf }: TokenList<T>) => {
  const [tokens, setTokens] = useState<T[] | string | null>(null)
  const read = (): Promise<void> =>
    ask<T[]>('GET', path).then(setTokens, (error: Error) => setTokens(error.message))
  useEffect(() => {
    void read()
  }, [])
  return (
    <section>
      <h2>{title}</h2>
      {tokens === null && <p>Asking the controller ...</p>}
      {typeof tokens === 'string' && <p role="alert">{tokens}</p>}
      {Array.isArray(tokens) && tokens.length === 0 && <p class="dim">None that this session may manage.</p>}
      {Array.isArray(tokens) && tokens.length > 0 && (
        <Table label={title} columns={['Name', ...columns, 'Made', 'State', 'Action']}>
          {tokens.map((token) => (
            <tr key={token.id}>
              <th scope="row">{nameOf(token)}</th>
              {cellsOf(token).map((cell, index) => (
                <td key={columns[index]} class="long">
                  {cell}
                </td>
              ))}
              <td>
                <Ago atMs={token.createdAtMs} />
              </td>
              <td>
                <TokenState token={token} />
              </td>
              <td>
                {token.revokedAtMs === null && (
                  <ConfirmButton
                    label="Revoke"
                    isDangerous
                    question={`Revoke the token ${nameOf(token)}? What uses it is refused from then on.`}
                    act={async () => {
                      await ask('DELETE', `${path}/${encodeURIComponent(token.id)}`)
                      await read()
                    }}
                  />
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  )
}

const TokenState = ({ token: { expiresAtMs, revokedAtMs } }: { token: AnyToken }) => {
  const { clockAheadMs } = usePage().known
  if (revokedAtMs !== null)
    return (
      <>
        <Badge state="revoked" /> <Ago atMs={revokedAtMs} />
      </>
    )
  if (expiresAtMs === null) return <>good, does not expire</>
  const isOver = expiresAtMs <= Date.now() + clockAheadMs
  return (
    <>
      {isOver ? 'expired' : 'good, expires'} <Ago atMs={expiresAtMs} />
    </>
  )
}
