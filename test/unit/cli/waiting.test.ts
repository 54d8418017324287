// How a wait ends when nothing is heard: by the time limit, and after a cancellation by it.
import t from 'tap'
import { ProblemError } from '../../../packages/controller/src/cli/cli-errors.ts'
import type { Client } from '../../../packages/controller/src/cli/client.ts'
import type { Watcher } from '../../../packages/controller/src/cli/follow-deployment.ts'
import {
  type WaitOptions,
  waitForDeployment
} from '../../../packages/controller/src/cli/wait-for-deployment.ts'
import { at, deployment, endedAs, deploymentNumber as id } from '../../support/controller-stand-in.ts'

const options: WaitOptions = {
  timeoutMs: 20,
  onTimeout: 'cancel',
  cancelGraceMs: 30,
  onAbort: 'cancel',
  isDetached: false
}
const refuse = (): never => {
  throw new Error('not prepared')
}

/** A controller that says nothing more, except what `cancelled` says once it was asked to cancel. */
const silent = (cancelled: 'cancelled' | 'succeeded' | null) => {
  const asked: string[] = []
  const wanted = Promise.withResolvers<void>()
  const client = {
    cancel: async (one: string) => {
      asked.push(one)
      wanted.resolve()
    },
    deploymentEvents: async function* (_id: string, signal: AbortSignal) {
      const given = new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      })
      await Promise.race([wanted.promise, given])
      if (cancelled === null) await given
      else yield { type: 'ended', at, deployment: endedAs(cancelled) }
    }
  }
  return { client: client as unknown as Client, asked }
}
const watching = (): { watcher: Watcher; notices: string[] } => {
  const notices: string[] = []
  const nothing = (): void => undefined
  const notice = (text: string): void => void notices.push(text)
  return { notices, watcher: { event: nothing, unread: nothing, notice, remark: notice, end: nothing } }
}
const noSignals = () => () => undefined
const begin = async () => deployment()

t.test('a time limit that cancels tells what really happened then', async (t) => {
  for (const outcome of ['cancelled', 'succeeded'] as const) {
    const { client, asked } = silent(outcome)
    const { watcher, notices } = watching()
    const end = await waitForDeployment(
      client,
      begin,
      { ...options, cancelGraceMs: 60_000 },
      watcher,
      noSignals
    )
    t.match(end, { kind: 'ended', deployment: { outcome } })
    t.same(asked, [id])
    t.match(notices, [/cancelling the deployment, and waiting 1m 00s for its end/])
  }
})

t.test('when even that is not heard of, the end is not known', async (t) => {
  const { client, asked } = silent(null)
  const end = await waitForDeployment(client, begin, options, watching().watcher, noSignals)
  t.match(end, { kind: 'unknown', deployment: { id }, why: /nor 0s after it was to be cancelled/ })
  t.same(asked, [id])
})

t.test('a time limit that detaches cancels nothing', async (t) => {
  const { client, asked } = silent('cancelled')
  const end = await waitForDeployment(
    client,
    begin,
    { ...options, onTimeout: 'detach' },
    watching().watcher,
    noSignals
  )
  t.match(end, { kind: 'unknown', deployment: { id } })
  t.same(asked, [])
})

t.test('with --detach the acceptance is the end', async (t) => {
  const client = { deploymentEvents: refuse, cancel: refuse } as unknown as Client
  const end = await waitForDeployment(
    client,
    begin,
    { ...options, isDetached: true },
    watching().watcher,
    noSignals
  )
  t.match(end, { kind: 'begun', deployment: { id } })
})

t.test('a signal while nothing is on its way stops asking, and cancels nothing', async (t) => {
  const client = { deploymentEvents: refuse, cancel: refuse } as unknown as Client
  let signal: (name: string) => void = refuse
  const refusal = new ProblemError({ type: '', title: '', status: 409, detail: 'locked', code: 'locked' })
  const waiting = waitForDeployment(
    client,
    async (asking) => {
      asking.idle()
      const stopped = new Promise((resolve) => asking.stop.addEventListener('abort', resolve))
      signal('SIGINT')
      await stopped
      throw refusal
    },
    { ...options, timeoutMs: 60_000 },
    watching().watcher,
    (listener) => {
      signal = listener
      return () => undefined
    }
  )
  await t.rejects(waiting, refusal)
})
