// Points in time as the engine takes them in `since` of a log: seconds and nanoseconds since the epoch.

/** Just behind the line with this time (RFC 3339 with nine digits): `since` means from then on, that moment included. */
export const behind = (time: string): string => {
  const seconds = BigInt(Math.floor(Date.parse(`${time.slice(0, 19)}Z`) / 1000))
  return writePoint(seconds * nanosPerSecond + BigInt(time.slice(20, 29)) + 1n)
}

export const pointAt = (atMs: number): string =>
  writePoint(BigInt(Math.max(0, Math.floor(atMs))) * 1_000_000n)

const nanosPerSecond = 1_000_000_000n

const writePoint = (nanos: bigint): string =>
  `${nanos / nanosPerSecond}.${String(nanos % nanosPerSecond).padStart(9, '0')}`
