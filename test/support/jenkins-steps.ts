// What Jenkins does with a pipeline, without Jenkins: the shell texts that a Jenkinsfile and the steps of its library hold,
// as Groovy reads them, run as the durable-task plugin runs them, and aborted as a build is.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startNode } from '../../scripts/hosts/programs.ts'

/** A file of deploy/jenkins as it is shipped. */
export const shippedForJenkins = (name: string): string =>
  readFileSync(new URL(`../../deploy/jenkins/${name}`, import.meta.url), 'utf8')

/** A folder for the PATH with `longshore` in it. @param main what node runs */
export const makeProgramFolder = (folder: string, main: string): string => {
  mkdirSync(folder, { recursive: true })
  const text = `#!/bin/sh\nexec env ${startNode.join(' ')} ${main} "$@"\n`
  writeFileSync(join(folder, 'longshore'), text, { mode: 0o755 })
  return folder
}

/** The texts of all `sh` steps of a Groovy source, in their order. @throws on a text that Groovy would change */
export const shellTextsOf = (source: string): string[] => {
  const step = /\bsh\s+(?:label:[^\n]*?script:\s*)?(?:'''([\s\S]*?)'''|'([^'\n]*)')/g
  return [...source.matchAll(step)].map(([, long, short]) => {
    // a backslash at the end of a line joins it with the next one, in Groovy as in the shell
    const text = (long ?? short ?? '').replaceAll(/\\\n/g, '')
    if (text.includes('\\')) throw new Error(`an escape that this reader does not know: ${text}`)
    return text
  })
}

/** Brackets that are open at the end, and strings; what is inside of strings and comments does not count. */
export const unbalancedIn = (source: string): string => {
  const rest = source.replaceAll(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'''[\s\S]*?'''|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g,
    ''
  )
  let open = rest.replaceAll(/[^()[\]{}'"]/g, '')
  for (let before = ''; before !== open; ) {
    before = open
    open = open.replaceAll(/\(\)|\[\]|\{\}/g, '')
  }
  return open
}

type Scope = { teardown(work: () => unknown): unknown }
export type Build = {
  /** Everything that the console shows so far. */
  readonly console: string
  ended: Promise<{ code: number | null; signal: string | null; out: string; console: string }>
  /** To the process group. */
  signal(name: NodeJS.Signals): void
  says(words: string): Promise<void>
}

/** `sh -xe FILE` in a workspace, in a session of its own, without a terminal. */
export const runShellText = (t: Scope, text: string, workspace: string, env: NodeJS.ProcessEnv): Build => {
  mkdirSync(workspace, { recursive: true })
  const script = join(workspace, '.script.sh')
  writeFileSync(script, text)
  const child = spawn('/bin/sh', ['-xe', script], {
    cwd: workspace,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const written = { out: '', console: '' }
  const waiting = new Set<() => void>()
  const hear = (chunk: Buffer): void => {
    written.console += chunk.toString()
    for (const look of waiting) look()
  }
  child.stdout.on('data', (chunk: Buffer) => {
    written.out += chunk.toString()
    hear(chunk)
  })
  child.stderr.on('data', hear)
  const closed = once(child, 'close') as Promise<[number | null, string | null]>
  const signal = (name: NodeJS.Signals): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    process.kill(-child.pid, name)
  }
  t.teardown(() => signal('SIGKILL'))
  return {
    get console() {
      return written.console
    },
    ended: closed.then(([code, signal]) => ({ code, signal, ...written })),
    signal,
    says: (words) =>
      new Promise((resolve, reject) => {
        const look = () => written.console.includes(words) && resolve()
        waiting.add(look)
        look()
        void closed.then(() => reject(new Error(`never said "${words}": ${written.console}`)))
      })
  }
}
