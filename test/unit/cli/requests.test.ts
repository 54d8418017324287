// What a request is made of before it leaves: idempotency keys, several services and their tags; and how often it is
// asked while another deployment holds the service.
import t from 'tap'
import type { DeploymentView } from '../../../packages/controller/src/api/schemas.ts'
import { CliError, ProblemError } from '../../../packages/controller/src/cli/cli-errors.ts'
import type { Client, DeployAsked } from '../../../packages/controller/src/cli/client.ts'
import { idempotencyKey } from '../../../packages/controller/src/cli/idempotency-key.ts'
import { parseNames, parseReason, parseTags } from '../../../packages/controller/src/cli/parse-values.ts'
import type { Asking } from '../../../packages/controller/src/cli/wait-for-deployment.ts'
import { askPastLock } from '../../../packages/controller/src/cli/wait-for-lock.ts'
import { at, deployment, endedAs, deploymentNumber as id } from '../../support/controller-stand-in.ts'
import { waitUntil } from '../../support/wait.ts'

const request: DeployAsked = { service: 'web', environment: 'staging', what: { by: 'tag', tag: '1' } }

t.test('the default key is of the build and of the request, whatever the order of its fields', async (t) => {
  const env = { BUILD_TAG: 'jenkins-web-7' }
  const key = idempotencyKey(undefined, env, request)
  t.match(key, /^jenkins-web-7 [0-9a-f]{32}$/)
  const turned: DeployAsked = { what: { tag: '1', by: 'tag' }, environment: 'staging', service: 'web' }
  t.equal(idempotencyKey(undefined, env, turned), key)
  t.not(idempotencyKey(undefined, env, { ...request, recreate: true }), key)
  t.not(idempotencyKey(undefined, { BUILD_TAG: 'jenkins-web-8' }, request), key)
  const long = idempotencyKey(undefined, { BUILD_TAG: 'x'.repeat(1000) }, request) ?? ''
  t.ok(long.length <= 300, 'as long as the API takes')
  t.not(idempotencyKey(undefined, { BUILD_TAG: `${'x'.repeat(1000)}y` }, request), long)
})

t.test(
  'a key that is given is sent as it is; none without a build, for a plan, or when turned off',
  async (t) => {
    const env = { BUILD_TAG: 'b' }
    t.equal(idempotencyKey('mine', env, request), 'mine')
    t.equal(idempotencyKey('mine', {}, request), 'mine')
    t.equal(idempotencyKey(undefined, {}, request), null)
    t.equal(idempotencyKey(undefined, { BUILD_TAG: '' }, request), null)
    t.equal(idempotencyKey('', env, request), null)
    t.equal(idempotencyKey(false, env, request), null)
    t.equal(idempotencyKey(undefined, env, { ...request, mode: 'plan' }), null)
  }
)

t.test('tags are for all services or for one, names are given once, reasons are one line', async (t) => {
  t.same(parseTags('api=2.0', parseTags('1.2.3')), { '': '1.2.3', api: '2.0' })
  for (const wrong of ['', '=1', 'api=', 'a/b', 'api=a=b']) t.throws(() => parseTags(wrong), wrong)
  t.throws(() => parseTags('2', { '': '1' }), /twice/)
  t.same(parseNames('web, api'), ['web', 'api'])
  for (const wrong of ['', ',', 'web,web']) t.throws(() => parseNames(wrong), wrong)
  t.equal(parseReason(' a\nfreeze '), 'a freeze')
  t.throws(() => parseReason(' \n'))
})

const locked = (by = id): ProblemError =>
  new ProblemError({
    type: 'about:blank',
    title: 'locked',
    status: 409,
    detail: 'it is busy',
    code: 'locked',
    lock: {
      deployment: by,
      holder: 'jenkins',
      sinceMs: Date.parse(at),
      reason: null,
      isPaused: false,
      service: deployment().services[0]?.service ?? refuse(),
      release: deployment().release
    }
  })
const refuse = (): never => {
  throw new Error('not prepared')
}

type Said = { notices: string[]; isIdle: boolean }
const askingOf = (stop = new AbortController()): { asking: Asking; said: Said } => {
  const said: Said = { notices: [], isIdle: false }
  return {
    said,
    asking: {
      signal: new AbortController().signal,
      stop: stop.signal,
      notice: (text) => void said.notices.push(text),
      remark: refuse,
      busy: () => {
        said.isIdle = false
      },
      idle: () => {
        said.isIdle = true
      }
    }
  }
}
/** Answers one after the other; an error is thrown. */
const answering = (...answers: (DeploymentView | Error)[]) => {
  const ask = async (): Promise<DeploymentView> => {
    const answer = answers.shift()
    if (answer === undefined) return refuse()
    if (answer instanceof Error) throw answer
    return answer
  }
  return { ask, left: answers }
}
const streams = (
  events: (id: string, signal: AbortSignal) => AsyncGenerator<unknown>
): Pick<Client, 'deploymentEvents'> => ({ deploymentEvents: events }) as Pick<Client, 'deploymentEvents'>
const endsAtOnce = streams(async function* () {
  yield { type: 'ended', at, deployment: endedAs('succeeded') }
})

t.test('a locked service is asked for again once its holder has ended', async (t) => {
  const { asking, said } = askingOf()
  const { ask, left } = answering(locked(), deployment())
  t.match(await askPastLock(endsAtOnce, asking, 60_000, ask), { id })
  t.same(left, [])
  t.same(said, {
    notices: [
      `locked by deployment ${id} of jenkins since 2026-01-02T03:04:05Z; waiting up to 1m 00s for it to end`
    ],
    isIdle: false
  })
})

t.test('without a wait, and for every other refusal, the refusal is the answer', async (t) => {
  const frozen = new ProblemError({ ...locked().problem, code: 'frozen', status: 423 })
  const lost = new CliError('connection-lost', 'lost')
  for (const [error, limitMs] of [
    [locked(), 0],
    [frozen, 60_000],
    [lost, 60_000],
    [new CliError('unreachable', 'never there'), 60_000]
  ] as const) {
    await t.rejects(askPastLock(streams(refuse), askingOf().asking, limitMs, answering(error).ask), error)
  }
})

t.test('a controller that went away meanwhile is asked again; a lost answer is not', async (t) => {
  const away = new CliError('unreachable', 'away')
  const again = answering(locked(), away, deployment())
  t.match(await askPastLock(endsAtOnce, askingOf().asking, 60_000, again.ask), { id })
  const lost = new CliError('connection-lost', 'lost')
  const { ask, left } = answering(locked(), lost, deployment())
  await t.rejects(askPastLock(endsAtOnce, askingOf().asking, 60_000, ask), lost)
  t.equal(left.length, 1)
})

t.test('a signal, or the end of the time, gives back the refusal; nothing was begun', async (t) => {
  const stop = new AbortController()
  const endless = streams(async function* () {
    stop.abort()
    yield* []
    throw new Error('the connection was given up')
  })
  const stopped = askingOf(stop)
  const refusal = locked()
  await t.rejects(askPastLock(endless, stopped.asking, 60_000, answering(refusal).ask), refusal)
  t.match(stopped.said.notices.at(-1), 'on a signal; nothing was begun')
  const late = askingOf()
  const waits = streams(async function* (_id, signal) {
    await waitUntil('the time is up', () => signal.aborted)
    yield* []
  })
  await t.rejects(askPastLock(waits, late.asking, 1, answering(refusal).ask), refusal)
  t.match(late.said.notices.at(-1), 'still locked after 0s; nothing was begun')
})
