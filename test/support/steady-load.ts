// Clients that ask one address without a pause: over connections that stay open and over new ones. Counts what they were
// answered and what failed, with the words of the first failures.
import { Agent, get } from 'node:http'

export type Load = {
  /** Answers by their text. */
  readonly answers: Map<string, number>
  readonly failures: string[]
  /** Resolves with the first answer of this text. */
  answered(text: string): Promise<void>
  /** Resolves once the requests under way have ended. */
  stop(): Promise<void>
}

/** @param clients of each kind */
export const startLoad = (url: string, clients = 1): Load => {
  const answers = new Map<string, number>()
  const failures: string[] = []
  const waiting: { text: string; resolve: () => void }[] = []
  const keepAlive = new Agent({ keepAlive: true })
  let isStopped = false
  const ask = async (agent: Agent | false): Promise<void> => {
    while (!isStopped) {
      try {
        const text = await request(url, agent)
        answers.set(text, (answers.get(text) ?? 0) + 1)
        for (const one of waiting) if (one.text === text) one.resolve()
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error))
      }
      // A pace, so that it leaves the machine to what it asks.
      await new Promise((resolve) => setTimeout(resolve, paceMs))
    }
  }
  const loops = Array.from({ length: clients }, () => [ask(keepAlive), ask(false)]).flat()
  return {
    answers,
    failures,
    answered: (text) =>
      answers.has(text) ? Promise.resolve() : new Promise((resolve) => waiting.push({ text, resolve })),
    stop: async () => {
      isStopped = true
      await Promise.all(loops)
      keepAlive.destroy()
    }
  }
}

const limitMs = 10_000
const paceMs = 5

const request = (url: string, agent: Agent | false): Promise<string> =>
  new Promise((resolve, reject) => {
    const asked = get(url, { agent, timeout: limitMs }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => {
        text += part
      })
      answer.on('error', reject)
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(text.trim())
        else reject(new Error(`status ${answer.statusCode}`))
      })
    })
    asked.on('timeout', () => asked.destroy(new Error('no answer in time')))
    asked.on('error', reject)
  })

/** One request over a connection of its own. */
export const askOnce = (url: string): Promise<string> => request(url, false)
