// Gets reports and progress to the controller. A report is signed, sent in each session and again until it is
// acknowledged; progress is sent when there is room, the latest of each run only. Keeping reports is the journal's.
import {
  type CommandId,
  limits,
  type ProgressMessage,
  type QueuedUp,
  type RunReport,
  type SigningKey,
  signJws
} from '@longshore/protocol'
import { dueReports } from './core/due-reports.ts'
import type { Log } from './link.ts'
import type { Clock, Runs, RunsListener } from './ports.ts'

/** An established session, as the reporter sees it. */
export type Outlet = { queue(messages: readonly QueuedUp[]): void; readonly bufferedBytes: number }

export type Reporter = RunsListener & {
  /** A session is established: everything unacknowledged is sent into it. */
  attach(outlet: Outlet): void
  detach(): void
  acknowledged(reportsUpTo: number): Promise<void>
}

type Ports = {
  clock: Clock
  log: Log
  key: SigningKey
  runs: () => Pick<Runs, 'unacknowledged' | 'acknowledged'>
}

const progressGapMs = 1000 / limits.maxProgressPerSecond
/** Progress gives way long before reports could be in danger. */
const maxProgressBufferedBytes = limits.maxBufferedBytes / 4

/** @param ports.runs called late: the runs are made with this reporter as their listener */
export const createReporter = (ports: Ports): Reporter => {
  const { clock, log } = ports
  let outlet: Outlet | undefined
  let sending = Promise.resolve()
  let sentAtMs = new Map<number, number>()
  let cancelResend = (): void => {}
  const receipts = new Map<number, string>()
  const progress = createProgress(clock, () => outlet)

  const signed = async (report: RunReport): Promise<string> => {
    const jws = receipts.get(report.number) ?? (await signJws('receipt', report, ports.key))
    receipts.set(report.number, jws)
    return jws
  }
  const sendOne = async (report: RunReport, into: Outlet): Promise<void> => {
    sentAtMs.set(report.number, clock.monotonicMs())
    try {
      into.queue([{ type: 'report', jws: await signed(report) }])
    } catch (error) {
      log.error({ err: error, command: report.command, report: report.number }, 'a report cannot be signed')
    }
  }
  /** One after the other, so that reports leave in the order of their numbers. */
  const sendDue = (): void => {
    sending = sending.then(async () => {
      const into = outlet
      if (into === undefined) return
      for (const report of dueReports(ports.runs().unacknowledged(), sentAtMs, clock.monotonicMs())) {
        if (outlet !== into) return
        await sendOne(report, into)
      }
    })
  }
  const resendLater = (): void => {
    cancelResend = clock.after(limits.reportResendMs, () => {
      sendDue()
      resendLater()
    })
  }

  return {
    progressed: progress.take,
    reported(report) {
      // progress that came after its report would show a run that has ended as under way
      progress.forget(report.command)
      if (
        ports
          .runs()
          .unacknowledged()
          .some((kept) => kept.number === report.number)
      ) {
        sentAtMs.delete(report.number)
        return sendDue()
      }
      // acknowledged long ago, and asked for again: by a controller that was restored from a backup
      sending = sending.then(() => outlet && sendOne(report, outlet))
    },
    attach(next) {
      cancelResend()
      outlet = next
      sentAtMs = new Map()
      sendDue()
      resendLater()
    },
    detach() {
      outlet = undefined
      cancelResend()
      progress.clear()
    },
    async acknowledged(reportsUpTo) {
      await ports.runs().acknowledged(reportsUpTo)
      for (const number of receipts.keys()) if (number <= reportsUpTo) receipts.delete(number)
      sendDue()
    }
  }
}

/** A later word replaces an earlier one, but not the output that came with it. */
const withLines = (before: ProgressMessage | undefined, next: ProgressMessage): ProgressMessage => {
  const lines = [...(before?.lines ?? []), ...(next.lines ?? [])].slice(-limits.maxProgressLines)
  return lines.length === 0 ? next : { ...next, lines }
}

/** The latest word on each run, told at the pace of the protocol; what finds no session or no room is dropped. */
const createProgress = (clock: Clock, outlet: () => Outlet | undefined) => {
  const latest = new Map<CommandId, ProgressMessage>()
  let cancel: (() => void) | undefined
  const flush = (): void => {
    cancel = undefined
    const messages = [...latest.values()]
    latest.clear()
    const into = outlet()
    if (into === undefined || into.bufferedBytes > maxProgressBufferedBytes) return
    if (messages.length > 0) into.queue(messages)
  }
  return {
    take(message: ProgressMessage): void {
      if (outlet() === undefined) return
      latest.set(message.command, withLines(latest.get(message.command), message))
      cancel ??= clock.after(progressGapMs, flush)
    },
    forget: (command: CommandId) => void latest.delete(command),
    clear(): void {
      cancel?.()
      cancel = undefined
      latest.clear()
    }
  }
}
