// Which credentials a registry is asked with: the host's own first, then what came with the command; what is said when
// none came, and what a run does whose credentials went with an earlier process.
import type { CommandCredential, CommandId, RegistryLogin } from '@longshore/protocol'
import t from 'tap'
import {
  askAs,
  type Credentials,
  type RegistryAuth
} from '../../../packages/agent/src/adapters/docker/credentials.ts'
import { EngineError } from '../../../packages/agent/src/engine-error.ts'
import { logIn } from '../../../packages/agent/src/execute/log-in.ts'
import { createSentLogins, missedLimitMs } from '../../../packages/agent/src/sent-logins.ts'

const command = 'cmd_00000000000000000001' as CommandId
const registry = 'registry.example.com'
const repository = `${registry}/team/api`
const login: RegistryLogin = { command, registry, username: 'puller', password: 'sent' }
const sent: CommandCredential = { registry, jwe: 'jwe', problem: null }
const denied = new EngineError('registry-denied', 'unauthorized')

t.test(
  'the credentials of the host are asked first, and those that were sent when they do not open',
  async (t) => {
    const own = { username: 'host', password: 'own', serveraddress: registry }
    const theirs = { username: 'puller', password: 'sent', serveraddress: registry }
    const hosts: Record<string, () => Promise<RegistryAuth>> = {
      none: async () => undefined,
      own: async () => own,
      failing: async () => {
        throw new EngineError('registry-denied', 'docker-credential-x failed')
      }
    }
    const ask = async (host: string, given: RegistryLogin | undefined, opens: string[]) => {
      const asked: (string | undefined)[] = []
      const credentials: Credentials = { forRepository: hosts[host] ?? (async () => undefined) }
      const work = async (auth: RegistryAuth) => {
        asked.push(auth?.['password'] as string | undefined)
        if (!opens.includes(String(auth?.['password']))) throw denied
        return auth
      }
      const got = await askAs(credentials, { repository, login: given }, work).catch((error) => error.message)
      return { asked, got }
    }
    t.same(await ask('own', login, ['own', 'sent']), { asked: ['own'], got: own })
    t.same(await ask('own', login, ['sent']), { asked: ['own', 'sent'], got: theirs })
    t.same(await ask('none', login, ['sent']), { asked: ['sent'], got: theirs })
    t.same(await ask('failing', login, ['sent']), { asked: ['sent'], got: theirs })
    t.same(await ask('failing', undefined, []), { asked: [], got: 'docker-credential-x failed' })
    t.same(await ask('none', undefined, []), { asked: [undefined], got: 'unauthorized' })
    t.same(await ask('own', login, []), { asked: ['own', 'sent'], got: 'unauthorized' })
    const away = new EngineError('registry-unavailable', 'away')
    const work = () => Promise.reject(away)
    await t.rejects(
      askAs({ forRepository: async () => own }, { repository, login }, work),
      away,
      'asked once'
    )
    const hub = await askAs(
      { forRepository: async () => undefined },
      { repository: 'api', login: { ...login, username: '<token>' } },
      async (auth) => auth
    )
    t.same(hub, { identitytoken: 'sent', serveraddress: 'https://index.docker.io/v1/' })
  }
)

/** A clock whose only delay passes when the test says so. */
const handClock = () => {
  const due: { delayMs: number; wake: () => void }[] = []
  const after = (delayMs: number, wake: () => void) => {
    due.push({ delayMs, wake })
    return () => void due.splice(0)
  }
  return { after, due }
}
const open = async (jwe: string) => {
  if (jwe === 'jwe') return login
  throw new Error('secret things')
}
const of = (logins: ReturnType<typeof createSentLogins>) => ({
  signal: new AbortController().signal,
  logins: {
    find: (name: string) => logins.find(command, name),
    arrival: (signal: AbortSignal) => logins.arrival(command, signal)
  }
})

t.test('what came with a command is found by its registry until the run has ended', async (t) => {
  const logins = createSentLogins(open, handClock())
  t.same(await logins.find(command, repository), { login: undefined, problem: null })
  logins.keep(command, [sent])
  t.same(await logins.find(command, repository), { login, problem: null })
  t.same(await logins.find(command, 'other.example.com/api'), { login: undefined, problem: null })
  t.same(await logins.find('cmd_2' as CommandId, repository), { login: undefined, problem: null })
  logins.forget(command)
  t.same(await logins.find(command, repository), { login: undefined, problem: null })
})

t.test('that there are no credentials, and why, is said where the registry does not let in', async (t) => {
  const logins = createSentLogins(open, handClock())
  const ask = async () => {
    throw denied
  }
  logins.keep(command, [{ registry, jwe: null, problem: 'the helper failed' }])
  await t.rejects(logIn(of(logins), repository, ask), {
    code: 'registry-denied',
    message: 'unauthorized; the helper failed'
  })
  logins.keep(command, [{ ...sent, jwe: 'of another agent' }])
  await t.rejects(logIn(of(logins), repository, ask), {
    message: /^unauthorized; .*cannot be opened by this host$/
  })
  await t.rejects(logIn(of(logins), 'other.example.com/api', ask), { message: /^unauthorized$/ })
  t.equal(await logIn(of(logins), repository, async (given) => given?.password ?? 'without'), 'without')
})

t.test(
  'a run of an earlier process waits for its credentials once it is not let in, and not for long',
  async (t) => {
    const clock = handClock()
    const logins = createSentLogins(open, clock)
    const passwords: (string | undefined)[] = []
    const ask = async (given: RegistryLogin | undefined) => {
      passwords.push(given?.password)
      if (given === undefined) throw denied
      return 'let in'
    }
    logins.miss(command)
    const waiting = logIn(of(logins), repository, ask)
    await new Promise(setImmediate)
    t.same(passwords, [undefined])
    logins.keep(command, [sent])
    t.equal(await waiting, 'let in')
    t.same(clock.due, [], 'the timer is gone')
    logins.forget(command)

    logins.miss(command)
    const vain = logIn(of(logins), repository, ask)
    await new Promise(setImmediate)
    t.match(clock.due, [{ delayMs: missedLimitMs }])
    clock.due[0]?.wake()
    await t.rejects(vain, denied)
  }
)

t.test(
  'credentials that arrive while a registry refuses are used for the second time of asking',
  async (t) => {
    const logins = createSentLogins(open, handClock())
    logins.miss(command)
    const asked: (string | undefined)[] = []
    const ask = async (given: RegistryLogin | undefined) => {
      asked.push(given?.password)
      if (given !== undefined) return 'in'
      logins.keep(command, [sent])
      throw denied
    }
    t.equal(await logIn(of(logins), repository, ask), 'in')
    t.same(asked, [undefined, 'sent'])
  }
)
