// The program `haproxy` of this machine: where it is, which version, whether it takes a configuration, and how it is
// started so that it outlives the agent.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { isNewEnough, readVersion } from '../../core/proxy/answers.ts'
import { ProxyError } from '../../proxy-error.ts'

/** A start waits for ports that are just being closed, 2 s at most, and reads every certificate. */
const limitMs = 20_000

const remedy =
  'install it (apt-get install haproxy; 2.6 or newer is needed), or let it run as a container (LONGSHORE_PROXY=container)'

/** @throws ProxyError `proxy-missing` */
export const findProgram = (path = process.env['PATH'] ?? ''): string => {
  const folders = [...path.split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  const found = folders
    .map((folder) => join(folder, 'haproxy'))
    .find((file) => file.startsWith('/') && existsSync(file))
  if (found === undefined)
    throw new ProxyError('proxy-missing', `there is no HAProxy on this host: ${remedy}`)
  return found
}

/** @throws ProxyError `proxy-missing` also for one that is too old */
export const programVersion = async (program: string): Promise<string> => {
  const { output } = await runProgram(program, ['-v'])
  const version = readVersion(output)
  if (version === undefined)
    throw new ProxyError('proxy-missing', `${program} -v does not say its version: ${remedy}`)
  if (!isNewEnough(version))
    throw new ProxyError('proxy-missing', `${program} is HAProxy ${version}, which is too old: ${remedy}`)
  return version
}

/** @throws ProxyError with HAProxy's own words */
export const checkConfig = async (program: string, configPath: string): Promise<void> => {
  const { code, output } = await runProgram(program, ['-c', '-f', configPath])
  if (code !== 0)
    throw new ProxyError('proxy-error', `HAProxy refuses the configuration: ${alertsOf(output)}`)
}

/** Resolves once it serves; it has left the agent's session by then. */
export const startProgram = async (program: string, args: readonly string[]): Promise<void> => {
  const { code, output } = await runProgram(program, args, true)
  if (code !== 0) throw new ProxyError('proxy-error', `HAProxy does not start: ${alertsOf(output)}`)
}

/** The account that Debian and others make for it. */
export const workerAccount = (): string | null => {
  if (process.getuid?.() !== 0) return null
  return /^haproxy:/m.test(readFileSync('/etc/passwd', 'utf8')) ? 'haproxy' : null
}

/** Without the prefix of level and process, and without what follows from the first alert. */
export const alertsOf = (output: string): string => {
  const lines = output.split('\n').map((line) => line.replace(/^\[\w+\]\s+\(\d+\) : /, '').trim())
  const alerts = output
    .split('\n')
    .flatMap((line, index) => (line.startsWith('[ALERT]') ? [lines[index] ?? ''] : []))
  return (alerts.length > 0 ? alerts : lines.filter((line) => line !== ''))
    .slice(0, 4)
    .join('; ')
    .slice(0, 1_000)
}

const runProgram = (
  program: string,
  args: readonly string[],
  isDaemon = false
): Promise<{ code: number; output: string }> =>
  new Promise((resolve, reject) => {
    // nothing of the agent's environment: it may hold a token, and HAProxy outlives the agent
    const env = { PATH: process.env['PATH'] ?? '' }
    const child = spawn(program, args, { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const keep = (chunk: Buffer): void => {
      if (output.length < 64 * 1024) output += chunk.toString('utf8')
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const limit = setTimeout(() => child.kill('SIGKILL'), limitMs)
    const end = (code: number): void => {
      clearTimeout(limit)
      // a daemon that was started may hold the other ends
      child.stdout.destroy()
      child.stderr.destroy()
      resolve({ code, output })
    }
    child.once('error', (error) => {
      clearTimeout(limit)
      reject(new ProxyError('proxy-missing', `${program} cannot be run: ${error.message}`))
    })
    // what a failure wrote may come after its end; of a daemon the pipe never closes
    child.once('exit', (code) => (code === 0 && isDaemon ? end(0) : undefined))
    child.once('close', (code) => end(code ?? 1))
  })
