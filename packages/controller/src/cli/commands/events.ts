// `longshore events`: what happens, for programs: one JSON object a line, of everything that the token may read.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { isPassing } from '../cli-errors.ts'
import type { Client } from '../client.ts'
import { pause, retryDelayMs } from '../follow-deployment.ts'
import { formatText, formatTime } from '../format-values.ts'
import { listenForEnd } from '../listen-for-end.ts'

type Flags = { url?: string; env?: string; follow?: true }

export function addEvents(program: Command, context: CliContext): void {
  program
    .command('events')
    .description('Prints how hosts and running deployments are, one JSON object a line.')
    .option('--env <name>', 'only this environment')
    .option('--follow', 'go on with what happens, until a signal ends it')
    .action(async (_own: unknown, self: Command) => {
      const { url, env, follow } = self.optsWithGlobals<Flags>()
      const client = await context.connect(url)
      // the stream filters nothing by environment: one that does not exist would be silent for ever
      if (follow === true && env !== undefined) await client.agents({ environment: env })
      if (follow === true) await followAll(context, client, env)
      else await printNow(context, client, env)
    })
}

async function printNow(context: CliContext, client: Client, environment: string | undefined): Promise<void> {
  const at = new Date(context.nowMs()).toISOString()
  const [agents, deployments] = await Promise.all([
    client.agents({ environment }),
    client.deployments({ environment, active: true })
  ])
  const events = [
    ...agents.map((agent) => ({ type: 'agent', at, agent })),
    ...deployments.map((deployment) => ({ type: 'deployment', at, deployment }))
  ]
  for (const event of events) context.stdout.write(`${JSON.stringify(event)}\n`)
}

/** Each connection begins with how things are: what happened while it was lost is in that. */
async function followAll(
  context: CliContext,
  client: Client,
  environment: string | undefined
): Promise<void> {
  const stopped = new AbortController()
  const stopListening = listenForEnd(context, () => stopped.abort())
  const say = (text: string): void =>
    context.stderr.write(`${formatTime(context.nowMs())} ${formatText(text)}; trying again\n`)
  try {
    for (let failures = 0; ; failures += 1) {
      try {
        const isWanted = within(environment)
        for await (const event of client.events(stopped.signal)) {
          failures = 0
          const whole = event.type === null ? event.json : event
          if (isWanted(whole)) context.stdout.write(`${JSON.stringify(whole)}\n`)
        }
        say('the controller closed the stream')
      } catch (error) {
        if (stopped.signal.aborted || !isPassing(error)) throw error
        say(error instanceof Error ? error.message : String(error))
      }
      await pause(retryDelayMs(failures), stopped.signal)
    }
  } catch (error) {
    if (!stopped.signal.aborted) throw error
  } finally {
    stopListening()
  }
}

type Whole = { type?: unknown; id?: unknown; agent?: unknown; deployment?: unknown }
type Placed = { id?: unknown; environment?: unknown } | undefined

/** Small events name only their deployment: where it is was said by the last large one. */
function within(environment: string | undefined): (event: object) => boolean {
  const deployments = new Set<unknown>()
  return (event) => {
    if (environment === undefined) return true
    const { id, agent, deployment } = event as Whole
    const placed = (agent ?? deployment) as Placed
    if (placed === undefined) return deployments.has(id)
    const isWanted = placed.environment === environment
    if (isWanted && deployment !== undefined) deployments.add(placed.id)
    return isWanted
  }
}
