// What the agent's parts need from each other, as types. The loop of runs (runs.ts) knows nothing of sockets;
// the session (session.ts) knows nothing of Docker; main.ts puts them together.
import type {
  AcceptedMessage,
  Command,
  CommandId,
  InventoryContainer,
  PolicySummary,
  ProgressMessage,
  RefusedMessage,
  RunReport,
  ServiceMark
} from '@longshore/protocol'

export type Clock = {
  /** Wall clock, milliseconds since the epoch; for people and for tokens, never for durations. */
  nowMs(): number
  /** Monotonic milliseconds since an arbitrary moment. */
  monotonicMs(): number
  /** Calls back once after `delayMs`; returns its own cancellation. */
  after(delayMs: number, wake: () => void): () => void
}

/** The agent's loop over commands: journals, runs, remembers. Everything that it promises is on disk first. */
export type Runs = {
  /**
   * Takes a command whose signature, agent and installation were verified. Never executes an id twice.
   * @param jws the command as received, kept as evidence
   * @param controllerNowMs the controller's time, for `notAfterMs`
   * @returns what to answer; undefined when its report is stored already (it is sent again instead)
   */
  receive(
    command: Command,
    jws: string,
    controllerNowMs: number
  ): Promise<AcceptedMessage | RefusedMessage | undefined>
  /** Asks the run to undo itself and end; nothing happens when it has ended. */
  cancel(id: CommandId): void
  /** At start: finishes or undoes what was in flight when the process ended. Resolves once all are under way. */
  recover(): Promise<void>
  /** Reports up to this number are durable at the controller. */
  acknowledged(reportsUpTo: number): Promise<void>
  /** Reports not yet acknowledged, oldest first. */
  unacknowledged(): RunReport[]
  marks(): ServiceMark[]
  inFlight(): CommandId[]
  /** Stops beginning steps, waits for those under way, closes the journal. Runs stay in it and go on at the next start. */
  stop(): Promise<void>
}

/** What runs tell while they are at it. `reported` comes after the report is on disk. */
export type RunsListener = {
  progressed(message: ProgressMessage): void
  reported(report: RunReport): void
}

/** Our containers as Docker sees them, for the inventory. */
export type ContainerWatch = {
  /** Rejects when the engine does not answer. */
  list(): Promise<InventoryContainer[]>
  /** Calls back after any event of our containers, and when the engine goes or comes back. */
  onChange(changed: () => void): () => void
}

/** The host policy file as read at start and at every change of it. */
export type PolicySource = { summary(): PolicySummary }
