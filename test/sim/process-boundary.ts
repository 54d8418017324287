// What a crash and a standstill mean for code that runs in this process. From a crash on none of its calls to the
// outside takes effect, and none of the answers it waits for ever comes. What stands still goes on later, with all
// that came in between, as if no time had passed.

export type Gate = {
  isShut(): boolean
  shut(): void
  /** Lets through what waits, in order. */
  open(): void
  /** At once, or when the gate opens. */
  pass(go: () => void): void
}

export const createGate = (): Gate => {
  let isShut = false
  let waiting: (() => void)[] = []
  return {
    isShut: () => isShut,
    shut: () => {
      isShut = true
    },
    open: () => {
      isShut = false
      const ready = waiting
      waiting = []
      for (const go of ready) go()
    },
    pass: (go) => {
      if (isShut) waiting.push(go)
      else go()
    }
  }
}

/**
 * Wraps an object so that after the crash its methods do nothing and never answer, and an answer that arrives
 * after it is not delivered.
 * @param pass holds answers back while the process stands still
 */
export const behindBoundary = <T extends object>(
  target: T,
  isAlive: () => boolean,
  pass: Gate['pass'] = (go) => go()
): T =>
  new Proxy(target, {
    get: (object, name, receiver) => {
      const member: unknown = Reflect.get(object, name, receiver)
      if (typeof member !== 'function') return member
      return (...args: unknown[]): unknown => {
        if (!isAlive()) return never()
        const answer: unknown = Reflect.apply(member, object, args)
        if (!(answer instanceof Promise)) return answer
        return new Promise((resolve, reject) => {
          answer.then(
            (value: unknown) => pass(() => isAlive() && resolve(value)),
            (error: unknown) => pass(() => isAlive() && reject(error))
          )
        })
      }
    }
  })

const never = (): Promise<never> => new Promise(() => {})
