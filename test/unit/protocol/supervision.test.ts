// What a supervisor is told and when: the words of sd_notify(3) for a standing, and the order of messages in time.
import { createTeller, readSupervision, type Standing, wordSigns } from '@longshore/protocol'
import t from 'tap'

t.test(
  'a supervisor is told only where there is one, and signs come three times as often as it demands',
  async (t) => {
    const socket = '/run/systemd/notify'
    t.equal(readSupervision({}, 7), null)
    t.equal(readSupervision({ NOTIFY_SOCKET: '' }, 7), null)
    t.same(readSupervision({ NOTIFY_SOCKET: socket }, 7), { socket, signEveryMs: null })
    const watched = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '90000000' }
    t.same(readSupervision({ ...watched, WATCHDOG_PID: '7' }, 7), { socket, signEveryMs: 30_000 })
    t.match(
      readSupervision({ ...watched, WATCHDOG_PID: '8' }, 7),
      { signEveryMs: null },
      'another process is meant'
    )
    for (const limit of ['', 'soon', '-1', '0'])
      t.match(readSupervision({ ...watched, WATCHDOG_USEC: limit }, 7), { signEveryMs: null }, limit)
  }
)

t.test('each standing has its words, told once', (t) => {
  const ready: Standing = { phase: 'ready', status: 'listening' }
  t.same(wordSigns({ phase: 'starting', status: 'migrating', startsWithinMs: 1500 }, null, false), [
    'EXTEND_TIMEOUT_USEC=1500000',
    'STATUS=migrating'
  ])
  t.same(wordSigns(ready, null, false), ['READY=1', 'STATUS=listening'])
  t.same(wordSigns(ready, ready, false), [])
  t.same(wordSigns(ready, ready, true), ['WATCHDOG=1'])
  t.same(wordSigns({ ...ready, status: 'stopping', phase: 'stopping' }, ready, true), [
    'STOPPING=1',
    'STATUS=stopping'
  ])
  t.same(
    wordSigns({ phase: 'ready', status: `a\nMAINPID=1\r${'x'.repeat(400)}` }, ready, false).map((line) => [
      line.slice(0, 20),
      line.length
    ]),
    [['STATUS=a MAINPID=1 xx'.slice(0, 20), 307]],
    'no text begins another assignment'
  )
  t.end()
})

/** A supervisor whose time passes, and whose messages arrive or fail, when the test says so. */
const startTeller = (signEveryMs: number | null = null) => {
  const sent: string[] = []
  const warnings: string[] = []
  const timers: { delayMs: number; wake: () => void }[] = []
  let answers: { resolve(): void; reject(error: Error): void }[] = []
  let proof: Promise<string | null> = Promise.resolve(null)
  const teller = createTeller({
    send: (lines) => {
      sent.push(lines.join(' '))
      return new Promise((resolve, reject) => answers.push({ resolve, reject }))
    },
    after: (delayMs, wake) => {
      timers.push({ delayMs, wake })
      return () => undefined
    },
    log: { warn: (_fields, text) => void warnings.push(text) },
    signEveryMs,
    prove: () => proof
  })
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const answer = (how: (one: { resolve(): void; reject(error: Error): void }) => void) => async () => {
    const [waiting, ...later] = answers
    if (waiting === undefined) throw new Error('nothing was sent')
    answers = later
    how(waiting)
    await settle()
  }
  return {
    teller,
    sent,
    warnings,
    arrive: answer((one) => one.resolve()),
    fail: answer((one) => one.reject(new Error('no such program'))),
    proves: (next: Promise<string | null>) => {
      proof = next
    },
    /** Lets every timer of this length fire once. */
    pass: async (delayMs: number) => {
      const due = timers.filter((one) => one.delayMs === delayMs)
      if (due.length === 0) throw new Error(`nobody waits for ${delayMs} ms`)
      for (const one of due) timers.splice(timers.indexOf(one), 1)
      for (const { wake } of due) wake()
      await settle()
    }
  }
}

t.test('one message is under way at a time, and what changed meanwhile follows in one', async (t) => {
  const { teller, sent, arrive, pass } = startTeller()
  teller.starting('migrating', 1000)
  teller.ready('0 hosts')
  teller.status('1 host')
  t.same(sent, ['EXTEND_TIMEOUT_USEC=1000000 STATUS=migrating'])
  await arrive()
  t.same(sent.slice(1), ['READY=1 STATUS=1 host'])
  await arrive()
  await pass(1000)
  for (const count of [2, 3, 4]) teller.status(`${count} hosts`)
  t.equal(sent.length, 2, 'a burst is not told one by one')
  await pass(1000)
  t.same(sent.slice(2), ['STATUS=4 hosts'])
  teller.stopping('stopping')
  teller.status('5 hosts')
  teller.ready('again')
  await arrive()
  t.same(sent.slice(3), ['STOPPING=1 STATUS=stopping'], 'the end is the last word')
})

t.test('what did not arrive is told again, and the log says once that it did not', async (t) => {
  const { teller, sent, warnings, fail, arrive, pass } = startTeller()
  teller.ready('listening')
  await fail()
  t.same(warnings, ['the supervisor could not be told'])
  await pass(10_000)
  await fail()
  t.equal(warnings.length, 1)
  await pass(10_000)
  t.same(sent, Array(3).fill('READY=1 STATUS=listening'))
  await arrive()
  t.equal(sent.length, 3)
})

t.test('signs of life come only while the work goes on', async (t) => {
  const { teller, sent, warnings, arrive, pass, proves } = startTeller(30_000)
  teller.ready('listening')
  await arrive()
  await pass(30_000)
  t.same(sent.slice(1), ['WATCHDOG=1'])
  await arrive()
  proves(Promise.resolve('the loop has not turned'))
  await pass(30_000)
  t.equal(warnings.length, 1, 'an obstacle is told to the log instead')
  proves(new Promise(() => undefined))
  await pass(30_000)
  await pass(30_000)
  t.equal(warnings.length, 2, 'work that hangs is noticed at the next sign that is due')
  t.equal(sent.length, 2)
})
