// The small changes that every phase is made of: one target altered, one command given, cancelled or given up.
// Each returns a new step; when, is decided by the phases.
import type { CommandName, Order, Step } from './events.ts'
import {
  type DeploymentState,
  type InFlight,
  isSameTarget,
  type Part,
  type Target,
  type TargetKey,
  type Timing
} from './state.ts'

export const withState = (step: Step, change: Partial<DeploymentState>): Step => ({
  state: { ...step.state, ...change },
  effects: step.effects
})

export const withTarget = (step: Step, key: TargetKey, change: Partial<Target>): Step =>
  withState(step, {
    targets: step.state.targets.map((target) =>
      isSameTarget(target, key) ? { ...target, ...change } : target
    )
  })

export const withPart = (step: Step, { service }: Pick<Part, 'service'>, change: Partial<Part>): Step =>
  withState(step, {
    parts: step.state.parts.map((part) => (part.service === service ? { ...part, ...change } : part))
  })

/** Applies `change` to each target in turn, each seeing what the ones before did. Their order never changes. */
export const forEachTarget = (step: Step, change: (step: Step, target: Target) => Step): Step =>
  step.state.targets.reduce((done, _, position) => {
    const target = done.state.targets[position]
    return target === undefined ? done : change(done, target)
  }, step)

/** Gives the next command and waits for its answer. */
export const giveCommand = (
  step: Step,
  target: Target,
  order: Order,
  atMs: number,
  change: Partial<Target> = {}
): Step => {
  const index = target.index + 1
  const limits = limitsOf(step.state, order, atMs)
  const inFlight: InFlight = {
    index,
    kind: order.kind,
    sentAtMs: atMs,
    deadlineAtMs: limits.deadlineAtMs,
    isCancelled: false,
    order
  }
  return send(withTarget(step, target, { ...change, index, inFlight }), nameOf(target, index), order, limits)
}

/** Gives the next command without waiting for it: what it does no longer decides anything. */
export const oweCommand = (
  step: Step,
  target: Target,
  order: Order,
  atMs: number,
  change: (index: number) => Partial<Target>
): Step => {
  const index = target.index + 1
  const limits = limitsOf(step.state, order, atMs)
  return send(withTarget(step, target, { ...change(index), index }), nameOf(target, index), order, limits)
}

/** Asks a run to undo itself, once. */
export const cancelInFlight = (step: Step, target: Target): Step => {
  if (target.inFlight === null || target.inFlight.isCancelled) return step
  const changed = withTarget(step, target, { inFlight: { ...target.inFlight, isCancelled: true } })
  const effect = { kind: 'cancelCommand', ...nameOf(target, target.inFlight.index) } as const
  return { state: changed.state, effects: [...changed.effects, effect] }
}

/** Cancels it and waits no longer. */
export const abandonInFlight = (step: Step, target: Target): Step => {
  if (target.inFlight === null) return step
  const cancelled = withTarget(cancelInFlight(step, target), target, { inFlight: null })
  const effect = { kind: 'abandonCommand', ...nameOf(target, target.inFlight.index) } as const
  return { state: cancelled.state, effects: [...cancelled.effects, effect] }
}

type Limits = { notAfterMs: number; timeLimitMs: number; deadlineAtMs: number }

const limitsOf = ({ timing }: DeploymentState, order: Order, atMs: number): Limits => {
  const timeLimitMs = timeLimitOf(timing, order)
  const mayWait = order.kind === 'revert' || order.kind === 'remove' || order.kind === 'settle'
  return {
    notAfterMs: atMs + (mayWait ? timing.revertWithinMs : timing.startWithinMs),
    timeLimitMs,
    deadlineAtMs: atMs + timing.startWithinMs + timeLimitMs + timing.reportGraceMs
  }
}

const timeLimitOf = (timing: Timing, order: Order): number => {
  if (order.kind === 'run-once') return order.timeoutMs
  return order.kind === 'resolve' || order.kind === 'plan' ? timing.resolveLimitMs : timing.runLimitMs
}

const nameOf = ({ service, agent }: TargetKey, index: number): CommandName => ({ service, agent, index })

const send = (step: Step, name: CommandName, order: Order, limits: Limits): Step => {
  const { notAfterMs, timeLimitMs } = limits
  return {
    state: step.state,
    effects: [...step.effects, { kind: 'sendCommand', ...name, order, notAfterMs, timeLimitMs }]
  }
}
