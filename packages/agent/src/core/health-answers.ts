// What the health check of a container answered, and which attempt it was: the agent's own probe, and the HEALTHCHECK
// that the engine runs, whose answers are seen in its log. Pure.
import { type HealthAnswer, limits } from '@longshore/protocol'

export type Answers = {
  readonly attempts: number
  readonly latest: Omit<HealthAnswer, 'container'> | null
  /** Of the engine's check that was counted last. */
  readonly checkedAt: string | null
}
export const noAnswers: Answers = { attempts: 0, latest: null, checkedAt: null }

export const noteProbe = (
  answers: Answers,
  { isOk, detail, tookMs }: { isOk: boolean; detail: string; tookMs: number }
): Answers => withLatest(answers, { isOk, answer: detail, tookMs })

/** The same check is counted once, however often it is seen. */
export const noteCheck = (
  answers: Answers,
  check: { startedAt: string; exitCode: number; tookMs: number } | null
): Answers => {
  if (check === null || check.startedAt === answers.checkedAt) return answers
  const { startedAt, exitCode, tookMs } = check
  const noted = withLatest(answers, { isOk: exitCode === 0, answer: wordOf(exitCode), tookMs })
  return { ...noted, checkedAt: startedAt }
}

/** The engine's -1: the check was ended at its timeout. */
const wordOf = (exitCode: number): string =>
  exitCode === -1
    ? 'the health check did not end in time'
    : `the health check ended with exit code ${exitCode}`

const withLatest = (
  answers: Answers,
  { isOk, answer, tookMs }: Pick<HealthAnswer, 'isOk' | 'answer' | 'tookMs'>
): Answers => {
  const attempt = answers.attempts + 1
  const told = { isOk, answer: answer.slice(0, limits.maxHealthAnswerChars), tookMs: Math.round(tookMs) }
  return { ...answers, attempts: attempt, latest: { attempt, ...told } }
}

/** Those that failed first: not all may have room. */
export const tellAnswers = (all: readonly { name: string; answers: Answers }[]): HealthAnswer[] =>
  all
    .flatMap(({ name, answers: { latest } }) => (latest === null ? [] : { container: name, ...latest }))
    .sort((a, b) => Number(a.isOk) - Number(b.isOk))
    .slice(0, limits.maxHealthAnswers)
