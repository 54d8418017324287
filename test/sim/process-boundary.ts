// What a crash means for code that runs in this process: from that moment none of its calls to the outside
// takes effect, and none of the answers it waits for ever comes.

/**
 * Wraps an object so that after the crash its methods do nothing and never answer, and an answer that arrives
 * after it is not delivered.
 */
export const behindBoundary = <T extends object>(target: T, isAlive: () => boolean): T =>
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
            (value: unknown) => isAlive() && resolve(value),
            (error: unknown) => isAlive() && reject(error)
          )
        })
      }
    }
  })

const never = (): Promise<never> => new Promise(() => {})
