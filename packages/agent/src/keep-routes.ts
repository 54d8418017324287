// Keeps HAProxy's traffic with containers that run, outside of runs: at the start, after Docker's events, when HAProxy
// came back, when a run ended. What should be where is core/proxy/repair-routes.ts; a run of the service has the last word.
import type { InstallationId } from '@longshore/protocol'
import { isSameService } from './core/proxy/conflicts.ts'
import { repairRoutes } from './core/proxy/repair-routes.ts'
import type { ServiceRoute } from './core/proxy/routes.ts'
import type { Log } from './link.ts'
import type { Clock, ContainerEvents, Engine, Proxy as ProxyPort, Runs } from './ports.ts'

/** Of many events in a row the first is dealt with at once, the others together. */
const gapMs = 50
/** An engine that does not answer, or a HAProxy that cannot be told, is asked again. */
const againMs = 2_000

type Ports = {
  proxy: ProxyPort
  engine: Pick<Engine, 'listContainers'>
  events: ContainerEvents
  runs: Pick<Runs, 'isBusy'>
  installation: () => InstallationId | undefined
  clock: Clock
  log: Log
}

export type RouteKeeper = {
  /** Something changed that neither the engine nor HAProxy tells: a run ended. */
  look(): void
  stop(): void
}

/** To be called once the runs that were in flight are known: they come first. */
export const keepRoutes = (ports: Ports): RouteKeeper => {
  const { proxy, clock, log } = ports
  let isStopped = false
  let isLooking = false
  let isDue = false
  let cancel = (): void => {}

  const lookIn = (delayMs: number): void => {
    cancel()
    if (!isStopped) cancel = clock.after(delayMs, look)
  }
  const lookOnce = async (): Promise<void> => {
    let nextMs = gapMs
    try {
      await repair(ports)
    } catch (error) {
      log.warn({ err: error }, 'the traffic of the services could not be looked at; trying again')
      isDue = true
      nextMs = againMs
    }
    isLooking = false
    if (isDue) lookIn(nextMs)
  }
  const look = (): void => {
    isDue = true
    if (isStopped || isLooking || proxy.routes().length === 0) return
    isDue = false
    isLooking = true
    void lookOnce()
  }
  const unsubscribe = [ports.events.onEvent(look), proxy.onChange(look)]
  look()
  return {
    look,
    stop: () => {
      isStopped = true
      cancel()
      for (const end of unsubscribe) end()
    }
  }
}

const repair = async (ports: Ports): Promise<void> => {
  const { proxy, engine, runs, log } = ports
  const installation = ports.installation()
  const isIdle = (route: ServiceRoute): boolean => !runs.isBusy(route.environment, route.service)
  const before = proxy.routes().filter(isIdle)
  if (installation === undefined || before.length === 0) return
  const containers = await engine.listContainers()
  for (const route of repairRoutes(before, containers, installation)) {
    // A run that began meanwhile, or has ended, knows better.
    if (!isIdle(route) || !isUnchanged(proxy, route, before)) continue
    const { environment, service } = route
    log.warn(
      { environment, service, containers: route.containers.map(({ id }) => id.slice(0, 12)) },
      'traffic goes to containers that run'
    )
    await proxy.route(route)
  }
}

const isUnchanged = (proxy: ProxyPort, route: ServiceRoute, before: readonly ServiceRoute[]): boolean => {
  const of = (routes: readonly ServiceRoute[]): string =>
    JSON.stringify(routes.find((one) => isSameService(one, route)))
  return of(proxy.routes()) === of(before)
}
