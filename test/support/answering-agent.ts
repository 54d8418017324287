// An agent for tests of the controller that answers every command at once, as it is told, without any engine.
import {
  type Command,
  command,
  type DeliveredDown,
  type RunOutcome,
  readUnverified,
  runOutcome,
  signJws,
  type VerifyKey
} from '@longshore/protocol'
import { type Client, connect, type Machine } from './agent-client.ts'

/** undefined: the command is accepted and not reported on. A promise: it is reported on later. */
export type Behaviour = (command: Command) => RunOutcome | undefined | Promise<RunOutcome>

const digest = `sha256:${'a'.repeat(64)}`
const succeeded = (result: object, serving: string, release: number | null): RunOutcome =>
  runOutcome.parse({ status: 'succeeded', result, serving, release })

/** A host on which everything works; a first release finds nothing there. */
export const obedient = ({ body }: Command): RunOutcome => {
  const image = { digest, platform: 'linux/amd64', diffIds: [digest], sizeBytes: 1 }
  switch (body.kind) {
    case 'resolve':
      return succeeded({ kind: 'resolve', digest }, 'none', null)
    case 'stage':
      return succeeded({ kind: 'stage', image, isRunning: false }, 'none', null)
    case 'release':
      return succeeded({ kind: 'release', containers: ['it'] }, 'new', body.release)
    case 'settle':
      return succeeded({ kind: 'settle', warnings: [] }, 'new', null)
    case 'revert':
      return succeeded({ kind: 'revert' }, 'old', body.to)
    case 'remove':
      return succeeded({ kind: 'remove' }, 'none', null)
    case 'plan': {
      const found = { isRunning: false, serves: null, steps: ['create web-r1-0'], refusals: [] }
      return succeeded({ kind: 'plan', ...found }, 'none', null)
    }
    case 'run-once':
      return succeeded({ kind: 'run-once', exitCode: 0, log: ['done'] }, 'none', null)
    case 'rehearse':
      return succeeded({ kind: 'rehearse' }, 'none', null)
    case 'upgrade':
      return succeeded({ kind: 'upgrade', version: '2', former: '1' }, 'new', null)
  }
}

export const connectAnswering = (
  url: string,
  machine: Machine,
  trusted: { installation: string; key: VerifyKey },
  behaviour: Behaviour = obedient,
  /** How a command that was not reported on ends when it is cancelled. */
  cancelled: Behaviour = () => undefined,
  /** Of whatever is no command. */
  hearOther: (message: DeliveredDown) => void = () => undefined
): Promise<Client> => {
  let number = 0
  const open = new Map<string, Command>()
  const answer = async (client: Client, asked: Command, behave: Behaviour): Promise<void> => {
    const behaved = behave(asked)
    const outcome = behaved instanceof Promise ? await behaved : behaved
    if (outcome === undefined || !open.delete(asked.id)) return
    number += 1
    const steps = [{ step: asked.body.kind, startedMs: 0, endedMs: 5, outcome: 'done' }]
    const report = { command: asked.id, number, outcome, steps }
    client.send([{ type: 'report', jws: await signJws('receipt', report, machine.key) }])
  }
  return connect(url, machine, trusted, {
    hear: (message, client) => {
      const running = message.type === 'cancel' ? open.get(message.command) : undefined
      if (running !== undefined) void answer(client, running, cancelled)
      if (message.type !== 'command') return hearOther(message)
      const asked = readUnverified('command', message.jws, command)
      client.send([{ type: 'accepted', command: asked.id }])
      open.set(asked.id, asked)
      void answer(client, asked, behaviour)
    }
  })
}
