// When the controller is told what runs here: after Docker's events, but not more often than a person could
// follow, and at a slow pace for the load. Each inventory is the whole picture.
import { type Inventory, type InventoryImage, limits } from '@longshore/protocol'
import { type Sample, trafficBetween } from './core/traffic-rates.ts'
import type { Log } from './link.ts'
import type { Clock, ContainerWatch, Proxy as ProxyPort } from './ports.ts'

/** Between two inventories: a deployment causes a dozen events in a second. */
const minGapMs = 250
/** Without events: for load and disk. */
const paceMs = 60_000
/** An engine that takes longer to list is not reachable for the hello of a session. */
const listLimitMs = 2_000
/** Images come and go with releases only. */
const imagePaceMs = 30_000

/** Load and room of the machine. */
export type Usage = Pick<Inventory, 'diskFreeBytes' | 'diskTotalBytes' | 'load' | 'memoryFreeBytes'>

/** Rates over a shorter time would say more of chance than of the traffic. */
const shortestRateMs = 5_000

type Ports = {
  watch: ContainerWatch
  proxy: Pick<ProxyPort, 'routes' | 'state' | 'figures'>
  measure: () => Promise<Usage>
  /** Of releases; rejects when the engine does not say. */
  images: () => Promise<InventoryImage[]>
  clock: Clock
  log: Log
}

export type InventoryWatch = {
  /** The picture now, each container looked at anew. Never rejects, and never takes much longer than `listLimitMs`. */
  look(): Promise<Inventory>
  /** Tells every picture from now on, until the next call or `detach`. */
  attach(tell: (inventory: Inventory) => void): void
  /** A run has ended: images may have come and gone. */
  refreshImages(): void
  detach(): void
  stop(): void
}

export const createInventoryWatch = (ports: Ports): InventoryWatch => {
  const { clock } = ports
  let tell: ((inventory: Inventory) => void) | undefined
  let cancel = (): void => {}
  let toldAtMs = Number.NEGATIVE_INFINITY
  let isLooking = false
  let hasChanged = false
  let toldContainers = ''
  const traffic = createTrafficLook(ports)
  const images = createImageLook(ports)

  const wakeIn = (delayMs: number): void => {
    cancel()
    cancel = clock.after(delayMs, () => void tellNow())
  }
  const tellNow = async (): Promise<void> => {
    if (tell === undefined) return
    isLooking = true
    const isPaced = !hasChanged
    hasChanged = false
    toldAtMs = clock.monotonicMs()
    const inventory = await look('changed')
    isLooking = false
    // an engine that is away calls back every second without anything to tell
    const containers = JSON.stringify([inventory.isEngineReachable, inventory.containers, inventory.proxy])
    if (isPaced || containers !== toldContainers) tell?.(inventory)
    toldContainers = containers
    if (tell !== undefined) wakeIn(hasChanged ? minGapMs : paceMs)
  }
  const look = async (how: 'all' | 'changed'): Promise<Inventory> => {
    const [containers, usage, brought, kept] = await Promise.all([
      listInTime(ports, how),
      ports.measure(),
      traffic(),
      images.look(how)
    ])
    return {
      ...brought,
      ...kept,
      isEngineReachable: containers !== null,
      containers: (containers ?? []).slice(0, limits.maxInventoryContainers),
      ...usage
    }
  }
  const unwatch = ports.watch.onChange(() => {
    hasChanged = true
    if (tell === undefined || isLooking) return
    wakeIn(Math.max(0, minGapMs - (clock.monotonicMs() - toldAtMs)))
  })

  return {
    look: () => look('all'),
    attach(next) {
      tell = next
      // its hello told more than the session before was told last
      toldContainers = ''
      if (!isLooking) wakeIn(hasChanged ? minGapMs : paceMs)
    },
    refreshImages: images.refresh,
    detach() {
      tell = undefined
      cancel()
    },
    stop() {
      tell = undefined
      cancel()
      unwatch()
    }
  }
}

/** What HAProxy does and counts; nothing where no service of the host needs it. */
const createTrafficLook = ({ proxy, clock, log }: Ports) => {
  let before: Sample | null = null
  return async (): Promise<Pick<Inventory, 'proxy' | 'traffic'>> => {
    if (proxy.routes().length === 0) return {}
    try {
      const now = { atMs: clock.monotonicMs(), figures: await proxy.figures() }
      const traffic = trafficBetween(before, now).slice(0, limits.maxInventoryContainers)
      if (before === null || now.atMs - before.atMs >= shortestRateMs) before = now
      return { proxy: proxy.state(), traffic }
    } catch (error) {
      log.debug({ err: error }, 'HAProxy does not tell its figures')
      return { proxy: proxy.state() }
    }
  }
}

/** Docker sums up sizes for it: not after every event. Never waited for longer than the containers are. */
const createImageLook = ({ images, clock, log }: Ports) => {
  let known: Pick<Inventory, 'images'> = {}
  let lookedAtMs = Number.NEGATIVE_INFINITY
  const lookNow = async (): Promise<void> => {
    try {
      known = { images: await images() }
    } catch (error) {
      known = {}
      log.debug({ err: error }, 'the engine does not list its images')
    }
  }
  const look = async (how: 'all' | 'changed'): Promise<Pick<Inventory, 'images'>> => {
    const nowMs = clock.monotonicMs()
    if (how === 'changed' && nowMs - lookedAtMs < imagePaceMs) return known
    lookedAtMs = nowMs
    const late = Promise.withResolvers<void>()
    const cancel = clock.after(listLimitMs, late.resolve)
    await Promise.race([lookNow(), late.promise])
    cancel()
    return known
  }
  return {
    look,
    refresh: (): void => {
      lookedAtMs = Number.NEGATIVE_INFINITY
    }
  }
}

/** null: the engine does not answer. */
const listInTime = async (
  { watch, clock, log }: Ports,
  how: 'all' | 'changed'
): ReturnType<typeof listOrNull> => {
  const late = Promise.withResolvers<null>()
  const cancel = clock.after(listLimitMs, () => late.resolve(null))
  try {
    return await Promise.race([listOrNull(watch, log, how), late.promise])
  } finally {
    cancel()
  }
}

const listOrNull = async (
  watch: ContainerWatch,
  log: Log,
  how: 'all' | 'changed'
): Promise<Inventory['containers'] | null> => {
  try {
    return await watch.list(how)
  } catch (error) {
    log.debug({ err: error }, 'the engine does not list its containers')
    return null
  }
}
