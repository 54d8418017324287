#!/usr/bin/env node
// The `longshore` command. Sets the exit code and lets the process end by itself: what was written to a pipe
// must get there.
import { exitCodes } from './exit-codes.ts'
import { createProcessContext } from './process-context.ts'
import { runCli } from './run-cli.ts'

// Node's own code for this is 1, which would say that a deployment was reverted
process.on('uncaughtException', (error) => {
  process.stderr.write(`error: ${error.stack ?? error.message}\n`)
  process.exit(exitCodes.unknown)
})

// if nothing is left to wait for and still nothing is known, Node would end with 13
process.exitCode = exitCodes.unknown
process.exitCode = await runCli(process.argv.slice(2), createProcessContext())
