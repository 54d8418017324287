// The real programs as separate processes, for tests: controller, agents, CLI, started from the sources as a
// checkout runs them, ended at the end of the test, their output collected for the message of a failure.
import { join } from 'node:path'
import type { Test } from 'tap'
import {
  type Agent,
  type AgentOptions,
  type Controller,
  type ControllerOptions,
  initController,
  startAgent,
  startController
} from '../../scripts/hosts/programs.ts'
import { makeTestFolder } from './real-parts.ts'

export { type CliResult, runCli } from '../../scripts/hosts/programs.ts'
export { type RunningProcess, startProcess } from '../../scripts/hosts/start-process.ts'
export type { Agent, AgentOptions, Controller }

/** Makes a data directory and starts a controller on it; resolves when it is ready. */
export const startTestController = async (
  t: Test,
  options: Omit<ControllerOptions, 'dataFolder'> & { dataFolder?: string }
): Promise<Controller> => {
  const dataFolder = options.dataFolder ?? join(makeTestFolder(t), 'controller')
  const token = await initController(dataFolder)
  const controller = await startController({ ...options, dataFolder }, token)
  t.teardown(() => controller.stop())
  return controller
}

/** Starts an agent; resolves when its process runs. Wait for `agents` to show it connected. */
export const startTestAgent = async (
  t: Test,
  options: Omit<AgentOptions, 'dataFolder'> & { dataFolder?: string }
): Promise<Agent> => {
  const dataFolder = options.dataFolder ?? join(makeTestFolder(t), 'agent')
  const agent = await startAgent({ ...options, dataFolder })
  t.teardown(() => agent.stop())
  return agent
}
