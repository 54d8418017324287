// `--since 10m`: when was that by the controller's clock? By that clock things are found; the own one may be another.
import type { Client } from './client.ts'

/** @param ms undefined: since ever, and nobody is asked. @returns milliseconds since the epoch */
export async function momentAgo(
  client: Pick<Client, 'info'>,
  ms: number | undefined
): Promise<number | undefined> {
  if (ms === undefined) return undefined
  const { nowMs } = await client.info()
  return Math.max(0, nowMs - ms)
}
