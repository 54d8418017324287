// What is told of health checks: the latest answer of each container, which attempt it was, and never what was written.
import { healthAnswer, limits } from '@longshore/protocol'
import t from 'tap'
import {
  noAnswers,
  noteCheck,
  noteProbe,
  tellAnswers
} from '../../../../packages/agent/src/core/health-answers.ts'

t.test('attempts are counted, and the latest answer is told', async (t) => {
  const once = noteProbe(noAnswers, { isOk: false, detail: 'connection refused', tookMs: 1.4 })
  const twice = noteProbe(once, { isOk: true, detail: 'x'.repeat(1000), tookMs: 20 })
  t.same(once.latest, { attempt: 1, isOk: false, answer: 'connection refused', tookMs: 1 })
  t.equal(twice.latest?.attempt, 2)
  for (const told of tellAnswers([{ name: 'web-r1-0', answers: twice }]))
    t.ok(healthAnswer.safeParse(told).success)
})

t.test("a check of the engine's is counted once, however often it is seen", async (t) => {
  const check = { startedAt: '2026-01-01T00:00:00Z', exitCode: 1, tookMs: 30 }
  const seen = noteCheck(noteCheck(noteCheck(noAnswers, null), check), check)
  t.same(seen.latest, {
    attempt: 1,
    isOk: false,
    answer: 'the health check ended with exit code 1',
    tookMs: 30
  })
  const timedOut = noteCheck(seen, { ...check, startedAt: '2026-01-01T00:00:30Z', exitCode: -1 })
  t.match(timedOut.latest, { attempt: 2, answer: 'the health check did not end in time' })
  t.match(noteCheck(timedOut, { ...check, startedAt: 'later', exitCode: 0 }).latest, { isOk: true })
})

t.test('of many containers those that failed have room first', async (t) => {
  const answered = (isOk: boolean) => noteProbe(noAnswers, { isOk, detail: 'status', tookMs: 1 })
  const all = Array.from({ length: 20 }, (_, index) => ({
    name: `web-r1-${index}`,
    answers: answered(index !== 19)
  }))
  const told = tellAnswers([{ name: 'silent', answers: noAnswers }, ...all])
  t.equal(told.length, limits.maxHealthAnswers)
  t.equal(told[0]?.container, 'web-r1-19')
})
