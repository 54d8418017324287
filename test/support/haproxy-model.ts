// HAProxy's servers as its runtime calls change them, for the pure decisions: rows as `show stat` lists them, and the
// three calls that a switch is made of. Any other call throws.
import type { ServerState, StatRow } from '../../packages/agent/src/core/proxy/answers.ts'
import type { WantedBackend } from '../../packages/agent/src/core/proxy/backends.ts'

/** Rows of HAProxy that was started with these backends. */
export const statOf = (backends: readonly WantedBackend[], sessions = 0, total = 0): StatRow[] =>
  backends.flatMap(({ name, servers, mode }) => [
    ...servers.map((server) => row(name, mode, server.name, server.address, sessions, total)),
    { ...row(name, mode, '', '', sessions, total), kind: 'backend' as const }
  ])

const row = (
  proxy: string,
  mode: 'http' | 'tcp',
  server: string,
  address: string,
  sessions: number,
  total: number
): StatRow => ({
  proxy,
  kind: 'server',
  server,
  mode,
  state: 'ready',
  isStopped: false,
  address,
  sessions,
  total,
  failedConnects: 0,
  failedAnswers: 0,
  cutAnswers: 0,
  serverErrors: 0,
  answerMs: 0
})

export const runtimeOf = (seen: readonly StatRow[]) => {
  let rows = seen.filter(({ kind }) => kind === 'server')
  const find = (path: string): StatRow => {
    const found = rows.find((one) => `${one.proxy}/${one.server}` === path)
    if (found === undefined) throw new Error(`no server ${path}`)
    return found
  }
  const change = (path: string, to: Partial<StatRow>): void => {
    const found = find(path)
    rows = rows.map((one) => (one === found ? { ...one, ...to } : one))
  }
  const call = (text: string): void => {
    const [verb, , path = '', what, ...rest] = text.split(' ')
    if (verb === 'add') {
      const [proxy = '', server = ''] = path.split('/')
      if (rows.some((one) => one.proxy === proxy && one.server === server)) throw new Error(`twice: ${path}`)
      rows = [...rows, { ...row(proxy, 'http', server, what ?? '', 0, 0), state: 'maint' }]
    } else if (verb === 'set' && what === 'state') change(path, { state: rest[0] as ServerState })
    else if (verb === 'set' && what === 'addr') change(path, { address: `${rest[0]}:${rest[2]}` })
    else throw new Error(`not prepared: ${text}`)
  }
  return {
    call: (line: string): void => {
      for (const one of line.split('; ')) call(one)
    },
    rows: (): readonly StatRow[] => rows
  }
}
