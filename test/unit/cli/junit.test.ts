// JUnit reports: what a reader of XML finds in them, and that they are green if and only if the command ends with 0.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  type DeploymentView,
  outcomes,
  type TargetView,
  targetStates
} from '../../../packages/controller/src/api/schemas.ts'
import { exitCodeOfOutcome } from '../../../packages/controller/src/cli/exit-codes.ts'
import {
  type Suite,
  suiteOfEnd,
  suiteOfNothing,
  suiteOfUnknown
} from '../../../packages/controller/src/cli/junit-suite.ts'
import { renderJunit } from '../../../packages/controller/src/cli/render-junit.ts'
import { writeJunit } from '../../../packages/controller/src/cli/write-junit.ts'
import { deployment, endedAs, target } from '../../support/controller-stand-in.ts'
import { childrenOf, readXml, type Xml } from '../../support/read-xml.ts'

const read = (suite: Suite): { suite: Xml; cases: Xml[] } => {
  const [only] = childrenOf(readXml(renderJunit([suite])), 'testsuite')
  if (only === undefined) throw new Error('no suite')
  return { suite: only, cases: childrenOf(only, 'testcase') }
}
const isGreen = ({ attributes }: Xml): boolean =>
  attributes['failures'] === '0' && attributes['errors'] === '0'
const nobody = { service: null, environment: null }

t.test('each host has a case with its time, its steps, its failure and its log', async (t) => {
  const steps: TargetView['steps'] = [
    { step: 'stop-container', startedMs: 0, endedMs: 1500, outcome: 'done' },
    { step: 'await-healthy', startedMs: 1500, endedMs: 4000, outcome: 'failed' }
  ]
  const ended = endedAs('mixed', [
    target('a', { state: 'released' }),
    target('b', {
      state: 'failed',
      reason: 'it <exited> & "died"',
      code: 'unhealthy',
      log: ['boom\u0007', ']]>'],
      steps
    }),
    target('c', { state: 'unknown', reason: 'not heard of' }),
    target('d', { state: 'skipped', reason: 'not connected' }),
    target('e', { state: 'untouched' })
  ])
  const { suite, cases } = read(suiteOfEnd(ended))
  t.match(suite.attributes, {
    name: 'web in staging',
    timestamp: '2026-01-02T03:04:05',
    time: '42.000',
    tests: '5',
    failures: '1',
    errors: '1',
    skipped: '2'
  })
  t.same(
    cases.map(({ attributes }) => attributes['name']),
    ['a', 'b', 'c', 'd', 'e']
  )
  const [good, failed, unknown, skipped, untouched] = cases
  t.same(good, {
    name: 'testcase',
    attributes: { name: 'a', classname: 'staging.web' },
    children: [],
    text: good?.text
  })
  t.match(failed?.attributes, { classname: 'staging.web', time: '4.000' })
  t.match(childrenOf(failed, 'failure'), [
    {
      attributes: { message: 'failed: it <exited> & "died"', type: 'unhealthy' },
      text: /it serves: old\nlast lines of the container:\n {2}\| boom\n {2}\| \]\]>$/
    }
  ])
  t.equal(
    childrenOf(failed, 'system-out')[0]?.text,
    'stop-container: done, 1.5s\nawait-healthy: failed, 2.5s'
  )
  t.match(childrenOf(unknown, 'error'), [
    { attributes: { message: 'unknown: not heard of', type: 'unknown' } }
  ])
  t.match(childrenOf(skipped, 'skipped'), [{ attributes: { message: 'skipped: not connected' } }])
  t.match(childrenOf(untouched, 'skipped'), [{ attributes: { message: /untouched; it was not its turn/ } }])
  const properties = childrenOf(childrenOf(suite, 'properties')[0], 'property')
  t.match(Object.fromEntries(properties.map(({ attributes }) => [attributes['name'], attributes['value']])), {
    deployment: ended.id,
    mode: 'deploy',
    outcome: 'mixed',
    release: '8',
    tag: '1.2.3'
  })
})

t.test('a report is green if and only if the command ends with 0', async (t) => {
  for (const outcome of outcomes) {
    for (const targets of [[], ...targetStates.map((state) => [target('a', { state })])]) {
      // what cannot be: it succeeded, and a host is not what it should be
      const isBad = targets.some(({ state }) =>
        ['failed', 'not-ready', 'reverted', 'unknown'].includes(state)
      )
      if (outcome === 'succeeded' && isBad) continue
      const { suite, cases } = read(suiteOfEnd(endedAs(outcome, targets)))
      const states = `${outcome}, ${targets.map(({ state }) => state).join()}`
      t.equal(isGreen(suite), exitCodeOfOutcome(outcome) === 0, states)
      t.not(cases.length, 0, states)
    }
  }
  t.notOk(isGreen(read(suiteOfUnknown(deployment(), 'the time was up')).suite))
})

t.test('where no host is to blame, the deployment has a case that says why', async (t) => {
  const releaseCommand = { state: 'failed' as const, host: target('a').host, exitCode: 3, log: ['no table'] }
  const ended: DeploymentView = {
    ...endedAs('refused', [target('a', { state: 'ready' })]),
    services: deployment().services.map((part) => ({ ...part, releaseCommand }))
  }
  const [own] = read(suiteOfEnd(ended)).cases
  t.equal(own?.attributes['name'], 'deployment')
  t.match(childrenOf(own, 'failure'), [{ attributes: { message: 'it was refused', type: 'refused' } }])
  t.equal(childrenOf(own, 'system-out')[0]?.text, 'release command of web: failed\n  | no table')
})

t.test('an end that is not known is one error, which says what was last heard of', async (t) => {
  const { cases } = read(
    suiteOfUnknown(deployment({ targets: [target('a', { state: 'releasing' })] }), 'it took long')
  )
  t.equal(cases.length, 1)
  t.match(childrenOf(cases[0], 'error'), [
    { attributes: { message: /^it took long; .*longshore attach dep_/ } }
  ])
  t.match(childrenOf(cases[0], 'system-out'), [{ text: 'when last heard of, web on a was releasing' }])
})

t.test('what was never begun is one case with the code of the refusal', async (t) => {
  const why = {
    kind: 'failure' as const,
    type: 'locked',
    text: 'error: held by x\n  since \u202enoon\ud800\n'
  }
  const { suite, cases } = read(suiteOfNothing({ service: 'web', environment: 'wip' }, why, 0))
  t.match(suite.attributes, { name: 'web in wip', tests: '1', failures: '1' })
  t.match(childrenOf(cases[0], 'failure'), [
    { attributes: { message: 'error: held by x', type: 'locked' }, text: 'error: held by x\n  since  noon' }
  ])
  t.match(read(suiteOfNothing(nobody, why, 0)).suite.attributes, { name: 'longshore' })
})

t.test(
  'a report takes the place of the former one at once, and what cannot be written is said',
  async (t) => {
    const dir = t.testdir({ 'report.xml': 'of an earlier build', folder: {} })
    const suite = suiteOfEnd(endedAs('succeeded'))
    await writeJunit(join(dir, 'report.xml'), suite)
    t.ok(isGreen(childrenOf(readXml(readFileSync(join(dir, 'report.xml'), 'utf8')), 'testsuite')[0] as Xml))
    await writeJunit(join(dir, 'new', 'report.xml'), suite)
    t.same(readdirSync(join(dir, 'new')), ['report.xml'])
    await t.rejects(writeJunit(join(dir, 'folder'), suite), { code: 'file-unwritable' })
    await t.rejects(writeJunit(join(dir, 'report.xml', 'x.xml'), suite), { code: 'file-unwritable' })
    t.same(readdirSync(dir).sort(), ['folder', 'new', 'report.xml'], 'nothing is left over')
  }
)

t.test('says in the case of a host how traffic came to it', async (t) => {
  const traffic = { switchMs: 4, gapMs: null, drainMs: 60_500, closed: { requests: 1, upgraded: 0 } }
  const { cases } = read(suiteOfEnd(endedAs('succeeded', [target('a', { state: 'released', traffic })])))
  const [output] = cases.flatMap((one) => childrenOf(one, 'system-out'))
  t.equal(output?.text, 'traffic: switched in 4 ms, drained in 1m 00s, 1 connection closed')
})
