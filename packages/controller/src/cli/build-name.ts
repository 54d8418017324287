// Which build asks for a deployment: as it was given, else as the CI system tells every step. Pure.
import type { Environment } from './read-settings.ts'

/** As the API takes it. */
const maxChars = 500
const shown = /^\P{C}+$/u

/** @param option false: none */
export function buildOf(option: string | false | undefined, env: Environment): string | null {
  if (option === false) return null
  if (option !== undefined) return option
  const told = [env['BUILD_URL'], githubRun(env), env['CI_JOB_URL'], env['CI_PIPELINE_URL'], env['BUILD_TAG']]
  const usable = told.map((text) => text?.trim() ?? '').find((text) => shown.test(text))
  return usable?.slice(0, maxChars) ?? null
}

function githubRun(env: Environment): string | undefined {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: run } = env
  return server && repository && run ? `${server}/${repository}/actions/runs/${run}` : undefined
}
