// Lets everything that is ready to run, run. Nothing in the simulated world waits for anything real, so no turn of
// the event loop is needed: Node runs a tick only once no promise is left to be resumed, and it costs nothing.

/** How often the code under test has put something off to the next turn. */
let postponed = 0

/** From here on `setImmediate` comes after everything that is ready, without a turn of the event loop. */
export const takeOverImmediates = (): (() => void) => {
  const real = globalThis.setImmediate
  const soon = (callback: () => void) => {
    postponed += 1
    process.nextTick(callback)
  }
  globalThis.setImmediate = soon as unknown as typeof setImmediate
  return () => {
    globalThis.setImmediate = real
  }
}

/** Call it while immediates are taken over. */
export const settle = async (): Promise<void> => {
  for (;;) {
    const before = postponed
    await new Promise<void>((resolve) => process.nextTick(resolve))
    if (postponed === before) return
  }
}
