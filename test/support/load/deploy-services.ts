// Deployments of several services at the same time, each by a command line of its own, and what each one told at
// its end of how its traffic moved.
import { type Ended, type Waiting, waitingFor } from '../e2e-fault-fleet.ts'
import type { LoadFleet } from './load-fleet.ts'

/** `LONGSHORE_PROOF=1`, `npm run proof:zero-downtime`: so many rounds instead of one or two. */
export const isProof = process.env['LONGSHORE_PROOF'] === '1'
export const rounds = isProof ? 50 : 1
export const killedRounds = isProof ? 50 : 2
/** The long form has hundreds of deployments of some seconds each. */
export const proofOptions = { timeoutMs: isProof ? 180 * 60_000 : 600_000 }

/** Starts a deployment for each service; which one comes first is left to chance. */
export const beginDeployments = async (
  fleet: LoadFleet,
  services: readonly string[],
  version: string
): Promise<Waiting[]> => {
  // An agent killed at the end of the last deployment may still be on its way back.
  await fleet.waitForAgent()
  return Promise.all(
    services.map(async (service) =>
      waitingFor(
        await fleet.controller.startCli(
          ...['deploy', service, '--env', 'test', '--tag', version],
          ...['--output', 'ndjson']
        )
      )
    )
  )
}

/** Throws unless each has succeeded: what follows a deployment depends on it. */
export const expectSucceeded = async (waiting: readonly Waiting[]): Promise<Ended[]> => {
  const ends = await Promise.all(waiting.map((one) => one.end()))
  for (const { document } of ends)
    if (document.outcome !== 'succeeded')
      throw new Error(`${document.outcome}: ${document.reason}; ${JSON.stringify(document.targets)}`)
  return ends
}

export const deployAll = async (
  fleet: LoadFleet,
  services: readonly string[],
  version: string
): Promise<Ended[]> => {
  await fleet.push(version)
  return expectSucceeded(await beginDeployments(fleet, services, version))
}
