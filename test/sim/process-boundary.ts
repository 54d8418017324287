// What a crash means for code that runs in this process: from that moment none of its calls to the outside
// takes effect, and none of the answers it waits for ever comes.

export class Crashed extends Error {
  override readonly name = 'Crashed'
}

/**
 * Wraps an object so that its methods do nothing once `isAlive` is false: a call never returns (asynchronous
 * methods) or throws Crashed (synchronous ones), and an answer that arrives after the crash is not delivered.
 * @param asynchronous names of the methods that return promises
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
