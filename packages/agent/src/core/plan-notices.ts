// What people should know before a release: a gap in service that cannot be avoided, with the length to expect, and
// that traffic through HAProxy meets rules which Docker's own ports pass by. Read off the planned steps.
import { limits } from '@longshore/protocol'
import type { Observation } from './observation.ts'
import type { RoutedPort } from './proxy/routes.ts'
import type { Step } from './steps.ts'

/** What HAProxy and Docker need to let a port go and take it: measured as 50 to 300 ms. */
const handOver = 'under a second'

/** @param steps of the release */
export const noticesOf = (steps: readonly Step[], seen: Observation): string[] =>
  steps
    .flatMap((step): string[] => {
      if (step.kind === 'take-over-ports')
        return [gapOfTakeOver(step, seen), ...firewall(step.to.route.ports, seen)]
      if (step.kind === 'switch-traffic') return firewall(step.to.route.ports, seen)
      return step.kind === 'close-ports' ? gapOfClosing(steps) : []
    })
    .map((one) => one.slice(0, limits.maxReasonChars))

const gapOfTakeOver = (step: Extract<Step, { kind: 'take-over-ports' }>, seen: Observation): string => {
  const ids = step.holders.map(({ container }) => (container.by === 'id' ? container.id : ''))
  const names = seen.containers.filter(({ id }) => ids.includes(id)).map(({ name }) => name)
  const graceMs = Math.max(...step.holders.map((one) => one.graceMs))
  return `a gap in service, this once: ${names.join(', ')} holds the port itself, and HAProxy can take it only when that has stopped. Expect ${handOver} and the time that it takes to stop, at most its stop_grace_period of ${graceMs / 1000} s. The new containers are healthy by then; the report has the length`
}

const gapOfClosing = (steps: readonly Step[]): string[] => {
  const isGap = steps.some(({ kind }) => kind === 'start-container')
  const words =
    'a gap in service: HAProxy lets the ports go, and the new containers are started only then, since order: stop-first wants the old ones stopped before. Expect as long as they take to stop and to become healthy'
  return isGap ? [words] : []
}

/** Each port is told once: before the first deploy at which HAProxy holds it. */
const firewall = (ports: readonly RoutedPort[], seen: Observation): string[] => {
  const held = seen.traffic?.route?.ports ?? []
  const first = ports.filter((port) => !held.some(({ published }) => published === port.published))
  if (first.length === 0) return []
  const names = first.map(({ published }) => published).join(', ')
  return [
    `HAProxy on the host takes the connections to port ${names} from now on: they meet the INPUT rules of the host's firewall, which ports published by Docker pass by. Allow the port there if it is closed`
  ]
}
