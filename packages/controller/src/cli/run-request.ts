// Asks for a deployment: with its idempotency key, past the lock if that is wanted, and says whether it is new.
import { buildOf } from './build-name.ts'
import type { CliContext } from './cli-context.ts'
import type { DeployAsked } from './client.ts'
import type { ExitCode } from './exit-codes.ts'
import { formatText } from './format-values.ts'
import { idempotencyKey } from './idempotency-key.ts'
import type { RequestFlags } from './request-options.ts'
import { runDeployment } from './run-deployment.ts'
import { askPastLock } from './wait-for-lock.ts'

export async function runRequest(
  context: CliContext,
  flags: RequestFlags,
  wanted: DeployAsked
): Promise<ExitCode> {
  const { waitForLock = 0, offline, reason = null } = flags
  const build = buildOf(flags.build, context.env)
  const request: DeployAsked = { ...wanted, offline, reason }
  const key = idempotencyKey(flags.idempotencyKey, context.env, request)
  const asked = { service: wanted.service, environment: wanted.environment }
  return runDeployment(context, flags, asked, async (client, asking) => {
    const deployment = await askPastLock(client, asking, waitForLock, (signal) =>
      client.deploy({ ...request, ...(build !== null && { build }), idempotencyKey: key }, signal)
    )
    const { id, attached, attemptOf } = deployment
    if (attached === true) {
      asking.remark(
        `attached to ${id}, which the idempotency key ${formatText(key ?? '')} began; nothing new is begun`
      )
    } else if (attemptOf !== null) {
      asking.remark(
        `a new attempt: what the same idempotency key began, ${attemptOf} first, is not what is current`
      )
    }
    return deployment
  })
}
