// The app as three services of one host - HTTP/1.1, HTTP/2 over TLS, lines in `mode: tcp` -, all replaced without a
// gap, and what is done with them while clients of all kinds use them.

import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { ProcessIdentity } from '../../../scripts/hosts/process-identity.ts'
import { namespaceProcesses } from '../../../scripts/hosts/remove-leftovers.ts'
import { runCommand } from '../../../scripts/hosts/run-command.ts'
import { makeAuthority } from '../authority.ts'
import type { Ended } from '../e2e-fault-fleet.ts'
import { waitUntil } from '../wait.ts'
import { haproxyPath } from './boxed-agent.ts'
import {
  beginDeployments,
  deployAll,
  expectSucceeded,
  isProof,
  killedRounds,
  rounds
} from './deploy-services.ts'
import { expectNoLoss } from './judge.ts'
import {
  graceMs,
  type LoadFleet,
  lineWithoutGap,
  secureWithoutGap,
  startLoadFleet,
  webWithoutGap
} from './load-fleet.ts'
import type { LoadReport } from './report.ts'
import { http2Clients, type Load, lineClients, mixedClients, startLoad } from './start-load.ts'

export const services = ['web', 'secure', 'line'] as const

/** Where the agent is killed, by the steps of the service `web`; the others are anywhere then. */
const killedAt: readonly string[] = [
  'switch-traffic',
  'drain-containers',
  'await-healthy',
  'create-container',
  'start-container',
  'monitor',
  'retire-container'
]

export class Scene {
  readonly fleet: LoadFleet
  readonly #caFile: string
  #versions = 0

  constructor(fleet: LoadFleet, caFile: string) {
    this.fleet = fleet
    this.#caFile = caFile
  }

  nextVersion(): string {
    this.#versions += 1
    return `v${this.#versions}`
  }

  startLoad(t: Test): Promise<Load> {
    const { urls } = this.fleet
    return startLoad(
      t,
      {
        url: urls.web,
        secure: { url: urls.secure, caFile: this.#caFile },
        line: urls.line,
        clients: { ...mixedClients, ...http2Clients, ...lineClients }
      },
      { maxMs: isProof ? 60 * 60_000 : 400_000, maxRequests: 20_000_000 }
    )
  }

  deployNext(names: readonly string[] = services): Promise<Ended[]> {
    return deployAll(this.fleet, names, this.nextVersion())
  }

  /** Nobody who uses the services meanwhile notices. */
  async withoutLoss(t: Test, happening: () => Promise<void>): Promise<LoadReport> {
    const load = await this.startLoad(t)
    await happening()
    const report = await load.stop()
    expectNoLoss(t, report, graceMs)
    return report
  }

  deployOften(t: Test): Promise<unknown> {
    return this.withoutLoss(t, async () => {
      for (let round = 0; round < rounds; round++) await this.deployNext()
    })
  }

  /** Kills the agent in each of several deployments, at another step each time. */
  killAgentOften(t: Test): Promise<unknown> {
    return this.withoutLoss(t, async () => {
      for (let round = 0; round < killedRounds; round++)
        await this.#killAgentAt(killedAt[round % killedAt.length] ?? '')
    })
  }

  async #killAgentAt(step: string): Promise<void> {
    const version = this.nextVersion()
    await this.fleet.push(version)
    const waiting = await beginDeployments(this.fleet, services, version)
    const [web] = waiting
    await web?.meanwhile(web.process.waitForLine(new RegExp(`"step":"${step}"`), 60_000))
    await this.fleet.agent.kill()
    await this.fleet.agent.start()
    await expectSucceeded(waiting)
  }

  /** Stops and kills the agent; connections that are open stay open. */
  async restartAgent(t: Test): Promise<void> {
    const { agent, waitForAgent } = this.fleet
    const report = await this.withoutLoss(t, async () => {
      for (const end of [() => agent.stop(), () => agent.kill()]) {
        await end()
        await agent.start()
        await waitForAgent()
      }
    })
    t.strictSame(report.cuts, [], 'no connection is cut')
  }

  /** Another version of HAProxy is there when the agent starts again: it takes over from the one that runs. */
  async replaceHaproxy(t: Test): Promise<void> {
    const { agent, waitForAgent, folder } = this.fleet
    const before = new Set((await this.haproxies()).map(({ pid }) => programOf(pid)))
    const program = await makeOtherHaproxy(join(folder, 'other'))
    await this.withoutLoss(t, async () => {
      await agent.stop()
      await agent.startWithHaproxy(program)
      await waitForAgent()
      await this.deployNext()
      await waitUntil(
        'the former HAProxy to be gone',
        async () => {
          const running = (await this.haproxies()).map(({ pid }) => programOf(pid))
          return running.length >= 2 && running.every((program) => !before.has(program))
        },
        { deadlineMs: 60_000 }
      )
    })
  }

  /** Every HAProxy of the host: master and workers. */
  async haproxies(): Promise<ProcessIdentity[]> {
    const found = await namespaceProcesses([this.fleet.host.namespace])
    return found.filter(({ pid }) => nameOf(pid) === 'haproxy')
  }
}

/** The machine's HAProxy that says that it is another version, with as many characters; @returns its file */
const makeOtherHaproxy = async (folder: string): Promise<string> => {
  const [version = ''] = /\d+\.\d+\.\d+/.exec(await runCommand(haproxyPath, ['-v'])) ?? []
  const patch = version.replace(/\d+$/, (digits) =>
    digits.replaceAll(/\d/g, (digit) => `${9 - Number(digit)}`)
  )
  const own = readFileSync(haproxyPath, 'latin1')
  const other = own.replaceAll(version, patch)
  if (version === '' || other === own) throw new Error(`${haproxyPath} does not say its version as expected`)
  const file = join(folder, 'haproxy')
  mkdirSync(folder)
  writeFileSync(file, other, { encoding: 'latin1', mode: 0o755 })
  return file
}

/** Which file the process runs; a master that reads its configuration anew may run another one then. */
const programOf = (pid: number): string | undefined => {
  try {
    const { dev, ino } = statSync(`/proc/${pid}/exe`)
    return `${dev} ${ino}`
  } catch {
    return undefined
  }
}

const nameOf = (pid: number): string | undefined => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** The first version serves when it resolves. */
export const startScene = async (
  t: Test,
  { monitor = '300ms', ...options }: Parameters<typeof startLoadFleet>[1] & { monitor?: string } = {}
): Promise<Scene> => {
  const fleet = await startLoadFleet(t, options)
  const authority = await makeAuthority(fleet.folder, fleet.host.address)
  const certificate = await authority.certify('secure')
  await fleet.apply({
    web: webWithoutGap({}, { monitor }),
    secure: secureWithoutGap(certificate),
    line: lineWithoutGap()
  })
  const scene = new Scene(fleet, authority.caFile)
  await scene.deployNext()
  return scene
}
