// Work that is asked for often and runs once at a time: asked for meanwhile, it runs once more afterwards.

export type Repeated = {
  ask(): void
  /** Resolves when it does not run. */
  idle(): Promise<void>
}

/** @param work must not reject */
export const oneAtATime = (work: () => Promise<void>): Repeated => {
  let isWanted = false
  let running: Promise<void> | undefined
  const run = async (): Promise<void> => {
    while (isWanted) {
      isWanted = false
      await work()
    }
    running = undefined
  }
  return {
    ask: () => {
      isWanted = true
      running ??= run()
    },
    idle: () => running ?? Promise.resolve()
  }
}
