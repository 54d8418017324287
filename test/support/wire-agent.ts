// The agent's loop over real sockets to a controller that the test plays, with runs that only remember what they
// were told and a clock whose long delays pass when the test says so.
import { randomBytes } from 'node:crypto'
import {
  type CommandId,
  formatId,
  generateEncryptionKey,
  generateSigningKey,
  limits,
  type RunReport
} from '@longshore/protocol'
import { createClock } from '../../packages/agent/src/adapters/clock.ts'
import { createControllerClient, urlBelow } from '../../packages/agent/src/adapters/http-client.ts'
import { createDial } from '../../packages/agent/src/adapters/ws.ts'
import { createControllerClock } from '../../packages/agent/src/controller-clock.ts'
import { type Identity, identity } from '../../packages/agent/src/identity.ts'
import type { LifeSigns } from '../../packages/agent/src/link.ts'
import type { Runs } from '../../packages/agent/src/ports.ts'
import { openRegistration } from '../../packages/agent/src/registration.ts'
import { type AgentWorld, runAgent } from '../../packages/agent/src/run-agent.ts'
import { watchLoop } from '../../packages/agent/src/watch-loop.ts'
import { type Misbehaviour, startWireController } from './wire-controller.ts'

export const facts = {
  os: 'Test',
  kernel: '1',
  architecture: 'x64',
  engineVersion: null,
  engineApiVersion: null,
  imageStore: null,
  cpus: 1,
  memoryBytes: 1
}
export const silent = { debug() {}, info() {}, warn() {}, error() {} }
export const silentSigns: LifeSigns = { turnsWithin() {}, ready() {}, status() {} }
export const newCommandId = (): CommandId => formatId<CommandId>('cmd', randomBytes(13))
export const sampleReport = (number: number): RunReport => ({
  command: newCommandId(),
  number,
  outcome: { status: 'succeeded', result: { kind: 'remove' }, serving: 'none', release: null },
  steps: []
})

/** Delays from here on pass when the test says so. */
const longMs = limits.handshakeTimeoutMs / 2

type Scope = { teardown(work: () => Promise<void>): void }

export const startWireAgent = async (
  test: Scope,
  behaviour: Misbehaviour = {},
  reports: RunReport[] = [],
  enrol: () => Promise<Identity> = () => Promise.reject(new Error('not in this test'))
) => {
  const controller = await startWireController(behaviour)
  const { key: signing } = await generateSigningKey()
  await controller.know(signing)
  const real = createClock()
  const late: (() => void)[] = []
  let shiftMs = 0
  // delays that tests would have to sit out are run when the test says so; reconnects come at once
  const clock = {
    ...real,
    monotonicMs: () => real.monotonicMs() + shiftMs,
    after(delayMs: number, wake: () => void) {
      if (delayMs < longMs) return real.after(delayMs, wake)
      late.push(wake)
      return () => void late.splice(late.indexOf(wake), late.includes(wake) ? 1 : 0)
    }
  }
  const warnings: { reason?: string; clockSkewMs?: number; message: string }[] = []
  const log = {
    ...silent,
    warn: (fields: object, message: string) => void warnings.push({ ...fields, message })
  }
  const received: string[] = []
  const runs: Runs = {
    async receive(command) {
      received.push(command.id)
      return { type: 'accepted', command: command.id }
    },
    cancel: (id) => void received.push(`cancel ${id}`),
    recover: async () => {},
    acknowledged: async (upTo) => {
      while (reports[0] && reports[0].number <= upTo) reports.shift()
    },
    unacknowledged: () => [...reports],
    marks: () => [],
    inFlight: () => [],
    isBusy: () => false,
    stop: async () => {},
    broken: new Promise(() => {})
  }
  const ask = createControllerClient(controller.url, null)
  const told: string[] = []
  const loop = watchLoop(clock)
  const tell = (status: string): void => void told.push(status)
  const network = {
    ask,
    clock,
    log,
    randomBytes: (count: number) => randomBytes(count),
    random: () => 0,
    signs: { turnsWithin: loop.turnsWithin, ready: tell, status: tell }
  }
  const saved: Identity[] = []
  const registration = await openRegistration(
    { ask, log, enrol, save: async (stored) => void saved.push(stored) },
    identity.parse(controller.identity)
  )
  const world: AgentWorld = {
    ...network,
    controllerClock: createControllerClock(clock),
    dial: createDial(urlBelow(controller.url, '/v1/agents/session'), null, real),
    signing,
    encryption: (await generateEncryptionKey()).publicJwk,
    version: '0.0.0',
    hostName: 'host-1',
    registration,
    facts: () => facts,
    refreshFacts() {},
    policy: { summary: () => ({ state: 'absent', path: null, detail: '' }) },
    inventory: {
      look: async () => ({
        isEngineReachable: false,
        containers: [],
        diskFreeBytes: null,
        diskTotalBytes: null,
        load: null,
        memoryFreeBytes: null
      }),
      attach() {},
      refreshImages() {},
      detach() {},
      stop() {}
    },
    logs: { attach() {}, received() {}, detach() {} },
    served: () => undefined,
    recovered: () => undefined,
    heard: () => undefined,
    openRuns: async () => runs
  }
  const stopping = new AbortController()
  const ended = runAgent(world, stopping.signal)
  test.teardown(async () => {
    stopping.abort()
    await ended
    controller.close()
  })
  return {
    controller,
    received,
    warnings,
    /** What a supervisor would show. */
    told,
    complaint: loop.complaint,
    /** Identities as they were stored. */
    saved,
    stop: () => stopping.abort(),
    ended,
    /** Lets so much time pass at once, and wakes whoever waited for it. */
    pass(passedMs: number) {
      shiftMs += passedMs
      for (const wake of late.splice(0)) wake()
    }
  }
}
