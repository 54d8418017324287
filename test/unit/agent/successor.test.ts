// Which program is the agent: the rule, with whatever dying at whatever moment, and how a process gives the place away,
// keeps it or gives it back, on real files.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createProgramFiles, hashOf } from '../../../packages/agent/src/adapters/program-files.ts'
import { checkPolicy, hostPolicy } from '../../../packages/agent/src/core/policy.ts'
import {
  beginTrial,
  chooseProgram,
  confirmTrial,
  endTrial,
  maxTrialStarts,
  type Placement,
  type Program
} from '../../../packages/agent/src/core/programs.ts'
import { readFileInTar } from '../../../packages/agent/src/core/read-tar.ts'
import { EngineError } from '../../../packages/agent/src/engine-error.ts'
import {
  createSuccessor,
  findPlace,
  giveBack,
  type SuccessorPorts,
  trialLimitMs
} from '../../../packages/agent/src/successor.ts'
import { packTar } from '../../../scripts/hosts/tar.ts'

const programOf = (name: string): Program => ({
  image: `sha256:${hashOf(Buffer.from(`image ${name}`))}` as Program['image'],
  sha256: hashOf(Buffer.from(name))
})
const [installed, next, third, foreign] = ['installed', 'next', 'third', 'foreign'].map(programOf) as [
  Program,
  Program,
  Program,
  Program
]
const fresh: Placement = {
  installed: { path: '/opt/agent.mjs', sha256: installed.sha256 },
  serving: null,
  candidate: null,
  trial: null,
  former: '1',
  refused: null
}

/** What a supervisor starts, followed until a program stays. */
const start = (found: Placement | null, begunWith = installed.sha256) => {
  let [placement, self] = [found, begunWith]
  for (let hops = 0; hops < 10; hops += 1) {
    const chosen = chooseProgram(placement, self)
    placement = chosen.placement
    if (chosen.kind === 'stay') return { placement, self, isTrial: chosen.isTrial }
    self = chosen.to?.sha256 ?? chosen.placement.installed.sha256
  }
  throw new Error('no program stays')
}

type Happening = { kind: 'upgrade'; to: Program } | { kind: 'kill' | 'fail' | 'heard' | 'install' }
const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({ kind: fc.constant('upgrade' as const), to: fc.constantFrom(next, third) }),
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('kill' as const) }) },
  fc.record({ kind: fc.constantFrom('fail' as const, 'heard' as const, 'install' as const) })
)

t.test('whatever dies at whatever moment, one program stays, and it was heard or is on trial', async (t) => {
  let trials = 0
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 30 }), (happenings) => {
      let supervised = installed.sha256
      let now = start(null)
      let heard = installed.sha256
      let deaths = 0
      for (const one of happenings) {
        const { placement } = now
        switch (one.kind) {
          case 'upgrade': {
            if (now.isTrial || one.to.sha256 === now.self) break
            const before = placement ?? { ...fresh, installed: { ...fresh.installed, sha256: supervised } }
            // the process becomes it without whoever supervises it
            now = start(beginTrial(before, one.to, '1'), one.to.sha256)
            deaths = 0
            trials += 1
            break
          }
          case 'kill':
            if (now.isTrial) deaths += 1
            now = start(placement, supervised)
            break
          case 'fail':
            if (!now.isTrial || placement === null) break
            now = start(endTrial(placement, 'it broke'), placement.serving?.sha256 ?? supervised)
            break
          case 'heard':
            if (!now.isTrial || placement === null) break
            now = { ...now, placement: confirmTrial(placement), isTrial: false }
            heard = now.self
            break
          case 'install':
            supervised = supervised === foreign.sha256 ? installed.sha256 : foreign.sha256
            heard = supervised
            now = start(placement, supervised)
            break
        }
        if (!now.isTrial && now.self !== heard) throw new Error('an unheard program serves')
        if (now.isTrial && deaths >= maxTrialStarts) throw new Error('a trial goes on for ever')
      }
    }),
    { numRuns: 500 }
  )
  t.ok(trials > 100, 'and there were trials')
})

t.test('a trial of the program that the supervisor starts itself is over after as many starts', async (t) => {
  const serving = { ...fresh, serving: next }
  let now = start(beginTrial(serving, installed, '1'), installed.sha256)
  for (let starts = 1; starts < maxTrialStarts; starts += 1) {
    t.match(now, { self: installed.sha256, isTrial: true })
    now = start(now.placement)
  }
  t.match(now, { self: installed.sha256, isTrial: true })
  now = start(now.placement)
  t.match(now, { self: next.sha256, isTrial: false, placement: { refused: { image: installed.image } } })
  t.match(start(confirmTrial(beginTrial(serving, installed, '1'))), {
    self: installed.sha256,
    isTrial: false
  })
})

const nothing = () => undefined
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** @param program content of the process's own file */
const makeScene = (t: Test, program = 'installed') => {
  const folder = mkdtempSync(join(tmpdir(), 'lsh-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const files = createProgramFiles(folder)
  const left: string[] = []
  const timers: { delayMs: number; wake: () => void }[] = []
  const image = (content: string) =>
    packTar([{ type: 'file', path: 'agent.mjs', content: Buffer.from(content) }])
  const ports: SuccessorPorts = {
    files,
    self: { path: '/opt/agent.mjs', sha256: hashOf(Buffer.from(program)), version: `of ${program}` },
    clock: {
      nowMs: () => 0,
      monotonicMs: () => 0,
      after: (delayMs, wake) => {
        timers.push({ delayMs, wake })
        return nothing
      }
    },
    log,
    copyFile: async (reference) => image(reference),
    tryProgram: async () => '2',
    leaveTo: (path) => left.push(path)
  }
  /** The same data directory in another process. */
  const processOf = (content: string) => ({
    ...ports,
    self: { path: '', sha256: hashOf(Buffer.from(content)), version: `of ${content}` }
  })
  return { files, left, timers, ports, processOf, folder }
}
const never = new AbortController().signal

t.test('leaves to the program of the image, which keeps the place once it is heard', async (t) => {
  const { files, left, ports, processOf, folder } = makeScene(t)
  const former = createSuccessor(ports)
  await former.take('next', next.image)
  const stopping = new AbortController()
  const handing = former.handOver(next.image, stopping.signal)
  t.same(left, [files.pathOf(next)])
  stopping.abort()
  await t.rejects(handing, { code: 'interrupted' }, 'the step begins anew in the next process')

  const own = processOf('next')
  t.equal(findPlace(files, own.self), null)
  const successor = createSuccessor(own)
  const repeated = successor.handOver(next.image, never)
  t.equal(await Promise.race([repeated, nextTurn('on trial')]), 'on trial', 'until it is heard')
  successor.heard()
  t.same(await repeated, { version: 'of next', former: 'of installed' })
  t.match(files.read(), { serving: next, trial: null })
  t.same(
    await successor.handOver(next.image, never),
    { version: 'of next', former: 'of installed' },
    'and again'
  )
  await successor.take('next', next.image)
  t.same(
    await successor.handOver(next.image, never),
    { version: 'of next', former: 'of next' },
    'another upgrade to what serves changes nothing, and says so'
  )

  await successor.take('third', third.image)
  t.equal(findPlace(files, ports.self), files.pathOf(next), 'the installed one starts what serves')
  writeFileSync(files.pathOf(next), 'damaged')
  t.equal(findPlace(files, ports.self), null, 'and itself where that is damaged')
  t.equal(findPlace(files, processOf('foreign').self), null, 'what a person installed serves')
  t.notOk(readdirSync(folder).includes('versions'), 'and nothing of former upgrades stays')
})

t.test('a program that is not heard in time, or breaks, gives the place back', async (t) => {
  const { files, left, timers, ports, processOf } = makeScene(t)
  const former = createSuccessor(ports)
  t.same(timers, [], 'who serves has no time limit')
  await former.take('next', next.image)
  former.handOver(next.image, never).catch(nothing)
  createSuccessor(processOf('next'))
  t.equal(timers[0]?.delayMs, trialLimitMs)
  timers[0]?.wake()
  t.same(left, [files.pathOf(next), '/opt/agent.mjs'])
  t.equal(findPlace(files, ports.self), null)
  await t.rejects(createSuccessor(ports).handOver(next.image, never), {
    code: 'upgrade-failed',
    message: /not answered by the controller within 60 s/
  })
  await former.take('next', next.image)
  former.handOver(next.image, never).catch(nothing)
  t.equal(
    giveBack(files, processOf('next').self, 'no such table'),
    '/opt/agent.mjs',
    'tried again, and broken'
  )
  t.equal(giveBack(files, ports.self, 'later'), null, 'who is on no trial has nothing to give back')
  await t.rejects(createSuccessor(ports).handOver(next.image, never), { message: 'no such table' })
})

t.test('takes nothing that is no agent, and leaves to nothing that is gone', async (t) => {
  const { files, ports } = makeScene(t)
  const missing = createSuccessor({
    ...ports,
    copyFile: async () => {
      throw new EngineError('not-found', 'no such file')
    }
  })
  await t.rejects(missing.take('web', next.image), { code: 'image-invalid', message: /not one of an agent/ })
  t.equal(files.read(), null)
  const successor = createSuccessor(ports)
  await successor.take('next', next.image)
  writeFileSync(files.pathOf(next), 'half')
  await t.rejects(successor.handOver(next.image, never), { code: 'upgrade-failed', message: /is gone/ })
  await successor.take('installed', third.image)
  t.same(
    await successor.handOver(third.image, never),
    { version: 'of installed', former: 'of installed' },
    'the very same program has nobody to leave to'
  )
  t.equal(readFileInTar(packTar([{ type: 'folder', path: 'app/' }])), undefined)
  t.equal(readFileInTar(Buffer.alloc(1024)), undefined)
})

t.test('a policy allows no upgrade unless it says so, and only to its repositories', async (t) => {
  const image = { repository: 'registry.test/agent', tag: null, digest: next.image }
  const sources = [{ kind: 'registry' as const }]
  const body = { kind: 'upgrade' as const, release: 1, image, sources }
  const judge = (policy: object) =>
    checkPolicy({ kind: 'active', policy: hostPolicy.parse(policy) }, 'longshore-agent' as never, body)
  t.match(judge({}), /does not allow upgrades of its agent/)
  t.equal(judge({ services: ['web'], allow: { upgrade: true } }), null)
  t.match(
    judge({ repositories: ['other.test/*'], allow: { upgrade: true } }),
    /repository registry\.test\/agent/
  )
  t.equal(checkPolicy({ kind: 'absent' }, 'longshore-agent' as never, body), null)
})
