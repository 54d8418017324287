#!/usr/bin/env node
// The `longshore` command. Sets the exit code and lets the process end by itself: what was written to a pipe
// must get there.
import { createProcessContext } from './process-context.ts'
import { runCli } from './run-cli.ts'

process.exitCode = await runCli(process.argv.slice(2), createProcessContext())
