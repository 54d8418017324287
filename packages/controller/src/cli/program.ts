// The commands and options of `longshore`, as a commander program. Only says what exists; each command is a file
// in commands/. docs/cli.md is compared with this program by a test.
import { Command } from 'commander'
import type { CliContext } from './cli-context.ts'
import { addAgents } from './commands/agents.ts'
import { addApiToken } from './commands/api-token.ts'
import { addApply } from './commands/apply.ts'
import { addAttach } from './commands/attach.ts'
import { addAudit } from './commands/audit.ts'
import { addCancel } from './commands/cancel.ts'
import { addController } from './commands/controller.ts'
import { addDeploy } from './commands/deploy.ts'
import { addDeployments, addReleases } from './commands/deployments.ts'
import { addEnvironments } from './commands/environments.ts'
import { addEvents } from './commands/events.ts'
import { addImages } from './commands/images.ts'
import { addImport } from './commands/import.ts'
import { addIssuers } from './commands/issuers.ts'
import { addJoinToken } from './commands/join-token.ts'
import { addLock, addUnlock } from './commands/lock.ts'
import { addLogs } from './commands/logs.ts'
import { addPromote } from './commands/promote.ts'
import { addPush } from './commands/push.ts'
import { addRegistry } from './commands/registry.ts'
import { addRemove } from './commands/remove.ts'
import { addRestart } from './commands/restart.ts'
import { addResume } from './commands/resume.ts'
import { addRollback } from './commands/rollback.ts'
import { addStatus } from './commands/status.ts'
import { addVersion } from './commands/version.ts'
import { addWebhooks } from './commands/webhooks.ts'
import { nameOption } from './name-option.ts'

export function createProgram(context: CliContext): Command {
  const program = new Command('longshore')
    .description('Deploys Docker images to plain hosts.')
    .option('--url <url>', "the controller's URL (default: LONGSHORE_URL, else http://127.0.0.1:7300)")
    .helpCommand(false)
    .showHelpAfterError('(--help shows the usage)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      outputError: (text, write) => write(nameOption(text)),
      getOutHasColors: () => context.stdout.hasColor,
      getErrHasColors: () => context.stderr.hasColor
    })
    .addHelpText(
      'after',
      '\nEnvironment: LONGSHORE_URL, LONGSHORE_TOKEN or LONGSHORE_TOKEN_FILE, LONGSHORE_CA_FILE,\nLONGSHORE_ALLOW_PLAINTEXT=1, NO_COLOR.'
    )
  addDeploy(program, context)
  addRollback(program, context)
  addPromote(program, context)
  addRestart(program, context)
  addRemove(program, context)
  addAttach(program, context)
  addResume(program, context)
  addCancel(program, context)
  addLock(program, context)
  addUnlock(program, context)
  addStatus(program, context)
  addImages(program, context)
  addLogs(program, context)
  addEvents(program, context)
  addDeployments(program, context)
  addReleases(program, context)
  addApply(program, context)
  addImport(program, context)
  addPush(program, context)
  addAgents(program, context)
  addEnvironments(program, context)
  addJoinToken(program, context)
  addApiToken(program, context)
  addAudit(program, context)
  addIssuers(program, context)
  addWebhooks(program, context)
  addRegistry(program, context)
  addController(program, context)
  addVersion(program, context)
  return program
}
