// What goes on until somebody has seen enough: a signal says so, and so does a reader of the output that went away.
import type { CliContext } from './cli-context.ts'

/** @returns ends the listening */
export function listenForEnd(
  context: Pick<CliContext, 'onSignal' | 'stdout'>,
  ended: () => void
): () => void {
  const stopSignals = context.onSignal(ended)
  const stopOutput = context.stdout.onClosed(ended)
  return () => {
    stopSignals()
    stopOutput()
  }
}
