// Does a timer keep its promise, never before its time, when the clock it is set by lags behind the system's timers?
import t from 'tap'
import { clockOver } from '../../../../packages/controller/src/adapters/clock/system-clock.ts'

/** A time that the test sets; each wait is over in a few milliseconds. */
const clockAt = (...readings: number[]) => {
  let last = 0
  const clock = clockOver(() => {
    last = readings.shift() ?? last
    return last
  })
  return { clock, lastReading: () => last }
}

// the clock's own timers keep no process alive
const alive = setInterval(() => {}, 1000)
t.teardown(() => clearInterval(alive))

t.test(
  'a timer that fires before its time, because the clock was set back, waits for the rest',
  async (t) => {
    const { clock, lastReading } = clockAt(1000, 900, 999, 1001)
    const wokenAtMs = await new Promise<number>((resolve) => {
      clock.at(1001, () => resolve(lastReading()))
    })
    t.equal(wokenAtMs, 1001)
  }
)

t.test('a time that has passed already wakes once, and not within the call', async (t) => {
  const { clock } = clockAt(1000)
  let woken = 0
  const done = new Promise<void>((resolve) => {
    clock.at(10, () => {
      woken += 1
      resolve()
    })
  })
  t.equal(woken, 0)
  await done
  t.equal(woken, 1)
})

t.test('a timer that was cancelled while it waited for the rest never wakes', async (t) => {
  const { clock } = clockAt(1000, 1000)
  const cancel = clock.at(1001, () => t.fail('it woke'))
  await new Promise<void>((resolve) => setTimeout(resolve, 5))
  cancel()
  const { clock: other } = clockAt(1000, 1005)
  await new Promise<void>((resolve) => void other.at(1005, resolve))
})
