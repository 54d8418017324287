// Does a freeze forbid a change of a service? One of the service itself is named before one of its environment.
export type Freeze = { service: string | null; holder: string; reason: string; sinceMs: number }

/** @param freezes those of the environment */
export const findFreeze = <F extends Freeze>(freezes: readonly F[], service: string): F | undefined =>
  freezes.find((freeze) => freeze.service === service) ?? freezes.find((freeze) => freeze.service === null)

/** `api in staging was locked by anna at 2026-01-02T03:04:05.000Z: database move` */
export const describeFreeze = ({ service, holder, reason, sinceMs }: Freeze, environment: string): string => {
  const what = service === null ? environment : `${service} in ${environment}`
  return `${what} was locked by ${holder} at ${new Date(sinceMs).toISOString()}: ${reason}`
}
