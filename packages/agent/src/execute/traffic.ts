// Steps that move traffic from containers to others. Each tells HAProxy the whole of what it is to do, so that it may be
// executed again; one that goes away meanwhile is brought back and told again.
import type { Connections } from '@longshore/protocol'
import { type Counted, compareErrors, countedSince } from '../core/compare-errors.ts'
import { neverRestart } from '../core/observation.ts'
import { isSameService } from '../core/proxy/conflicts.ts'
import type { RoutedContainer, ServiceKey, ServiceRoute } from '../core/proxy/routes.ts'
import type { ContainerRef, Finding, Routed } from '../core/steps.ts'
import { portSpecsOf } from '../core/traffic.ts'
import { StepError } from '../engine-error.ts'
import type { ContainerLook, Runtime } from '../ports.ts'
import { ProxyError } from '../proxy-error.ts'
import { demandContainer, findContainer, nothing, type StepOf } from './containers.ts'
import { createFallback, type Fallback } from './fallback.ts'
import { watchedFor, watchToTheEnd } from './health.ts'
import { pause, throwIfStopped } from './pause.ts'
import { HealthWatch } from './watch-health.ts'

/** HAProxy is started within a tenth of a second; a configuration that it refuses does not get better. */
const proxyWaitMs = 5_000
const proxyPollMs = 100
/** Docker lets the ports of a container go some milliseconds after it has said that it stopped. */
const portWaitMs = 3_000
const portPollMs = 10

export const checkProxy = async ({ proxy }: Runtime): Promise<Finding> => {
  await proxy.ensure()
  return nothing
}

export const lookForProxy = async ({ proxy }: Runtime): Promise<Finding> => {
  await proxy.lookForProgram()
  return nothing
}

/** Tells HAProxy; one that is not there is started and told again. */
export const tellProxy = async <T>(runtime: Runtime, tell: () => Promise<T>): Promise<T> => {
  const deadlineMs = runtime.clock.monotonicMs() + proxyWaitMs
  for (;;) {
    try {
      return await tell()
    } catch (error) {
      const isAway = error instanceof ProxyError && error.code === 'proxy-error'
      if (!isAway || runtime.clock.monotonicMs() > deadlineMs) throw error
    }
    runtime.progress('waiting for HAProxy')
    await pause(runtime, proxyPollMs)
    await runtime.proxy.ensure().catch(() => undefined)
  }
}

export const switchTraffic = async (runtime: Runtime, step: StepOf<'switch-traffic'>): Promise<Finding> => {
  const route = await routeOf(runtime, [step.to])
  const beganAtMs = runtime.clock.monotonicMs()
  await tellProxy(runtime, () => runtime.proxy.route(route))
  return { kind: 'switched', switchMs: runtime.clock.monotonicMs() - beganAtMs, gapMs: null }
}

/** What HAProxy is to do for the containers of all of them; ports and the rest as the first says. */
const routeOf = async (
  runtime: Runtime,
  [first, ...others]: [Routed, ...Routed[]]
): Promise<ServiceRoute> => {
  const refs = [first, ...others].flatMap((one) => one.containers)
  const containers = await Promise.all(refs.map((ref) => addressOf(runtime, ref)))
  return { ...first.route, containers }
}

/** An engine that has just come back starts what has a policy to be restarted; it is given the time. */
const startWaitMs = 5_000

const lookAtRunning = async (runtime: Runtime, ref: ContainerRef): Promise<ContainerLook> => {
  const deadlineMs = runtime.clock.monotonicMs() + startWaitMs
  for (;;) {
    const look = await demandContainer(runtime.engine, ref)
    const isToCome = !look.isRunning && look.restart.name !== 'no'
    if (!isToCome || runtime.clock.monotonicMs() > deadlineMs) return look
    await pause(runtime, proxyPollMs)
  }
}

const addressOf = async (runtime: Runtime, ref: ContainerRef): Promise<RoutedContainer> => {
  const look = await lookAtRunning(runtime, ref)
  if (!look.isRunning)
    throw new StepError('container-exited', `${look.name} does not run, so that no traffic is sent to it`)
  if (look.ownAddress === null)
    throw new StepError('engine-error', `${look.name} is not on the network of the containers`)
  return { id: look.id, address: look.ownAddress }
}

/**
 * The policy first, as at any stop; everything that can be done before the gap is done before it. After a crash the gap
 * is counted from when the engine says that the first of them ended.
 */
export const takeOverPorts = async (runtime: Runtime, step: StepOf<'take-over-ports'>): Promise<Finding> => {
  const { engine, proxy, clock } = runtime
  const route = await routeOf(runtime, [step.to])
  const holders = await Promise.all(
    step.holders.map(async ({ container, graceMs }) => ({
      look: await findContainer(engine, container),
      graceMs
    }))
  )
  const present = holders.flatMap(({ look, graceMs }) => (look === undefined ? [] : [{ look, graceMs }]))
  for (const { look } of present) await engine.setRestartPolicy(look.id, neverRestart)
  const beganAtMs = Math.min(clock.nowMs(), ...present.map(({ look }) => endOf(look)))
  await Promise.all(present.map(({ look, graceMs }) => engine.stopContainer(look.id, graceMs)))
  await portsFree(runtime, step.to.route.ports)
  const switchAtMs = clock.monotonicMs()
  await tellProxy(runtime, () => proxy.route(route))
  const switchMs = clock.monotonicMs() - switchAtMs
  return { kind: 'switched', switchMs, gapMs: Math.max(switchMs, clock.nowMs() - beganAtMs) }
}

const endOf = ({ isRunning, finishedAtMs }: ContainerLook): number =>
  isRunning || finishedAtMs === null ? Number.POSITIVE_INFINITY : finishedAtMs

/** Waits until neither Docker nor HAProxy holds them; whoever then wants one still says so himself. */
const portsFree = async (
  runtime: Runtime,
  ports: readonly { hostIp: string | null; published: number; target: number }[]
): Promise<void> => {
  const deadlineMs = runtime.clock.monotonicMs() + portWaitMs
  for (const port of portSpecsOf(ports))
    while (runtime.clock.monotonicMs() < deadlineMs && (await runtime.host.isPortBound(port))) {
      // Another service's port, shared by names, stays bound.
      if (port.published !== null && (await isShared(runtime, port.hostIp, port.published))) break
      await pause(runtime, portPollMs)
    }
}

const isShared = ({ proxy }: Runtime, hostIp: string | null, published: number): Promise<boolean> =>
  proxy.holdsPort({ hostIp, published }).catch(() => false)

export const closePorts = async (runtime: Runtime, step: StepOf<'close-ports'>): Promise<Finding> => {
  await tellProxy(runtime, () => runtime.proxy.unroute(step.service))
  const ports = step.ports.flatMap(({ hostIp, published, target }) =>
    published === null ? [] : [{ hostIp, published, target }]
  )
  await portsFree(runtime, ports)
  return nothing
}

/** Watches the new ones while both have traffic; what was counted before does not count. */
export const shareTraffic = async (runtime: Runtime, step: StepOf<'share-traffic'>): Promise<Finding> => {
  const { proxy } = runtime
  const { to, former } = step
  const next = await routeOf(runtime, [to])
  const route = await routeOf(runtime, [to, former])
  const before = await countersOf(runtime, route)
  await tellProxy(runtime, () => proxy.route(route))
  const fallback = await createFallback(runtime, former)
  const watch = await HealthWatch.start(
    runtime,
    { containers: to.containers, rule: step.rule, fallback },
    watchedFor(runtime, step, step.forMs)
  )
  await watchToTheEnd(runtime, watch)
  const now = await countersOf(runtime, route)
  const isNew = ({ id }: RoutedContainer): boolean => next.containers.some((one) => one.id === id)
  const sum = (containers: readonly RoutedContainer[]): Counted =>
    containers
      .map(({ id }) => countedSince(before.get(id), now.get(id) ?? none))
      .reduce((a, b) => ({ requests: a.requests + b.requests, errors: a.errors + b.errors }), none)
  const verdict = compareErrors(
    sum(route.containers.filter((one) => !isNew(one))),
    sum(route.containers.filter(isNew)),
    step.maxErrorRatio
  )
  if (verdict.kind === 'worse')
    throw new StepError(
      'worse-than-before',
      `more requests fail than before, by more than canary_max_error_ratio (${step.maxErrorRatio}): ${verdict.detail}`
    )
  const note = `old and new could not be compared, for want of requests: ${verdict.detail}`
  return verdict.kind === 'unknown' ? { kind: 'notes', notes: [note] } : nothing
}

const none: Counted = { requests: 0, errors: 0 }

const countersOf = async (runtime: Runtime, service: ServiceKey): Promise<Map<string, Counted>> => {
  const figures = await tellProxy(runtime, () => runtime.proxy.figures())
  const own = figures.find((one) => isSameService(one, service))
  return new Map((own?.containers ?? []).map((one) => [one.id, one]))
}

const drainPollMs = 100
/** What was closed is gone at once; a connection that HAProxy will not let go is closed by the container's end. */
const closeWaitMs = 2_000

export const drainContainers = async (
  runtime: Runtime,
  step: StepOf<'drain-containers'>
): Promise<Finding> => {
  const { clock } = runtime
  const beganAtMs = clock.monotonicMs()
  const ids = await idsOf(runtime, step.containers)
  const watched = await watchMeanwhile(runtime, step)
  try {
    for (;;) {
      const left = await countLeft(runtime, step.service, ids, watched)
      const waitedMs = clock.monotonicMs() - beganAtMs
      if (left !== null && isNothing(left)) return { kind: 'drained', drainMs: waitedMs, closed: left }
      if (left !== null && waitedMs >= step.timeoutMs) {
        await closeWhatIsLeft(runtime, step.service, ids)
        return { kind: 'drained', drainMs: clock.monotonicMs() - beganAtMs, closed: left }
      }
      throwIfStopped(runtime)
      await watched.watch.lookAtAll()
      await watched.watch.pause(Math.min(drainPollMs, Math.max(1, step.timeoutMs - waitedMs)))
    }
  } finally {
    watched.watch.stop()
  }
}

/** @returns null while they have the traffic back: then the next look says why */
const countLeft = async (
  runtime: Runtime,
  service: ServiceKey,
  ids: readonly string[],
  { fallback }: Watched
): Promise<Connections | null> => {
  if (fallback?.isTaken() === true) return null
  try {
    const left = await tellProxy(runtime, () => runtime.proxy.detach(service, ids))
    if (!isNothing(left))
      runtime.progress(`${left.requests} requests and ${left.upgraded} upgraded connections are left`, {
        connections: left
      })
    return left
  } catch (error) {
    // It was taken back between the question and HAProxy.
    if (fallback?.isTaken() === true) return null
    throw error
  }
}

const closeWhatIsLeft = async (
  runtime: Runtime,
  service: ServiceKey,
  ids: readonly string[]
): Promise<void> => {
  const { clock, proxy } = runtime
  await tellProxy(runtime, () => proxy.closeConnections(service, ids))
  const deadlineMs = clock.monotonicMs() + closeWaitMs
  while (!isNothing(await tellProxy(runtime, () => proxy.detach(service, ids)))) {
    if (clock.monotonicMs() > deadlineMs) return
    await pause(runtime, portPollMs)
  }
}

const isNothing = ({ requests, upgraded }: Connections): boolean => requests + upgraded === 0

/** One that is gone has nothing attached to it, but may still stand in HAProxy's list. */
const idsOf = async ({ engine }: Runtime, refs: readonly ContainerRef[]): Promise<string[]> => {
  const found = await Promise.all(
    refs.map(async (ref) => (await findContainer(engine, ref))?.id ?? (ref.by === 'id' ? ref.id : null))
  )
  return found.flatMap((id) => id ?? [])
}

type Watched = { watch: HealthWatch; fallback: Fallback | null }

/** Those that have the traffic now may die while others are drained. */
const watchMeanwhile = async (runtime: Runtime, { watch }: StepOf<'drain-containers'>): Promise<Watched> => {
  const nobody = { containers: [], rule: { probe: null, timeoutMs: null } }
  const { containers, rule } = watch ?? nobody
  const fallback = watch === null ? null : await createFallback(runtime, watch.fallback)
  const begin = watchedFor(runtime, { rule }, Number.POSITIVE_INFINITY)
  return { watch: await HealthWatch.start(runtime, { containers, rule, fallback }, begin), fallback }
}
