// What happened in this controller since it started: counted where it happens, read when Prometheus asks. In memory
// only. Every label is of a closed set, or bounded here; figures of how things are now are collect-metrics.ts's.
import { isStepName, type SessionEnd, type StepReceipt } from '@longshore/protocol'
import {
  addTo,
  type CounterFamily,
  type HistogramFamily,
  type Labels,
  observeIn,
  type Tally
} from '../core/metrics/tallies.ts'

/** `accept`: until the host has it in its journal; `run`: there; `whole`: until its report is stored. */
export type CommandStage = 'accept' | 'run' | 'whole'

export type Meters = {
  sessionStarted(): void
  /** Before it began; `code` as the answer has it. */
  sessionRefused(code: string): void
  sessionEnded(end: SessionEnd): void
  commandTook(kind: string, stage: CommandStage, ms: number): void
  stepsTook(steps: readonly StepReceipt[]): void
  deploymentEnded(of: { environment: string; mode: string; outcome: string; ms: number }): void
  /** `commitMs`: the part in which nothing was left but to write it to the disk. */
  transactionTook(of: { ms: number; commitMs: number }): void
  /** The longest delay within a second. */
  loopLagged(ms: number): void
  /** @returns to be called when it ends */
  streamOpened(): () => void
  /** Until when the certificate that is served is valid. */
  certificateServed(expiresAtMs: number): void
  read(): Reading
}
export type Reading = {
  tallies: readonly Tally[]
  streams: number
  /** null: none is served. */
  certificateExpiresAtMs: number | null
}

/** Environments come and go; what was counted stays. Further ones are counted as `other`. */
const maxEnvironments = 200

const quick = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
const commandBounds = [0.025, 0.1, 0.25, 1, 2.5, 10, 30, 60, 180, 600, 1800]
const stepBounds = [0.01, 0.1, 0.5, 1, 5, 15, 60, 180, 600, 1800]
const deploymentBounds = [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14_400]

export const createMeters = (): Meters => {
  const tallies = createTallies()
  const environments = new Set<string>()
  let streams = 0
  let certificateExpiresAtMs: number | null = null

  const bounded = (environment: string): string => {
    if (environments.size < maxEnvironments) environments.add(environment)
    return environments.has(environment) ? environment : 'other'
  }
  return {
    sessionStarted: () => addTo(tallies.started, none),
    sessionRefused: (code) => addTo(tallies.refused, { code }),
    sessionEnded: (end) => addTo(tallies.ended, labelsOfEnd(end)),
    commandTook: (kind, stage, ms) => observe(tallies.commands, { kind, stage }, ms),
    stepsTook: (steps) => {
      for (const { step, outcome, startedMs, endedMs } of steps)
        observe(tallies.steps, { step: nameOf(step), outcome }, endedMs - startedMs)
    },
    deploymentEnded: ({ environment, mode, outcome, ms }) => {
      addTo(tallies.deployments, { environment: bounded(environment), mode, outcome })
      observe(tallies.deploymentTimes, { mode, outcome }, ms)
    },
    transactionTook: ({ ms, commitMs }) => {
      observe(tallies.transactions, none, ms)
      observe(tallies.commits, none, commitMs)
    },
    loopLagged: (ms) => observe(tallies.lag, none, ms),
    streamOpened: () => {
      streams += 1
      return () => {
        streams -= 1
      }
    },
    certificateServed: (expiresAtMs) => {
      certificateExpiresAtMs = expiresAtMs
    },
    read: () => ({ tallies: Object.values(tallies), streams, certificateExpiresAtMs })
  }
}

/** In the order in which they are told. */
const createTallies = () => ({
  started: counter('sessions_started_total', 'Sessions of agents that began.', []),
  refused: counter('session_failures_total', 'Sessions refused before they began, by code.', ['code']),
  ended: counter('sessions_ended_total', 'Sessions that ended, by whom and why.', ['by', 'code']),
  commands: histogram(
    'command_duration_seconds',
    'How long commands to hosts took, by stage.',
    ['kind', 'stage'],
    commandBounds
  ),
  steps: histogram(
    'step_duration_seconds',
    'How long the steps of runs on hosts took.',
    ['step', 'outcome'],
    stepBounds
  ),
  deployments: counter('deployments_total', 'Deployments that ended, by outcome.', [
    'environment',
    'mode',
    'outcome'
  ]),
  deploymentTimes: histogram(
    'deployment_duration_seconds',
    'From the request of a deployment to its end.',
    ['mode', 'outcome'],
    deploymentBounds
  ),
  transactions: histogram(
    'store_transaction_seconds',
    'Transactions of the store, without the wait for their turn.',
    [],
    quick
  ),
  commits: histogram('store_commit_seconds', 'Ends of transactions, until they are on the disk.', [], quick),
  lag: histogram('event_loop_lag_seconds', 'The longest delay of the event loop in each second.', [], quick)
})

const none: Labels = {}
const counter = (name: string, help: string, labelNames: readonly string[]): CounterFamily => ({
  type: 'counter',
  name: `longshore_${name}`,
  help,
  labelNames,
  // one without labels is there from the start, so that its first step counts as one
  series: labelNames.length === 0 ? [{ labels: none, value: 0 }] : []
})
const histogram = (
  name: string,
  help: string,
  labelNames: readonly string[],
  bounds: readonly number[]
): HistogramFamily => ({ type: 'histogram', name: `longshore_${name}`, help, labelNames, bounds, series: [] })

/** A clock that was set back in between makes no time negative. */
const observe = (family: HistogramFamily, labels: Labels, ms: number): void =>
  observeIn(family, labels, Math.max(0, ms) / 1000)

const labelsOfEnd = (end: SessionEnd): Labels => {
  if (end.by === 'loss') return { by: 'loss', code: 'none' }
  return { by: end.by, code: (end.by === 'us' ? end.code : null) ?? end.reason }
}

/** What an agent says; those of other versions may have steps that are not known here. */
const nameOf = (step: string): string => {
  if (step.startsWith('undo ')) return 'undo'
  return isStepName(step) ? step : 'other'
}
