// What every view may use without being handed it: what is known, who has signed in, and the time.
import type { SessionView } from '@longshore/controller/api'
import { createContext } from 'preact'
import { useContext, useEffect, useState } from 'preact/hooks'
import type { Known } from './page-store.ts'

export type PageContext = {
  readonly session: SessionView
  readonly known: Known
  /** False while nobody knows whether what is shown is still so. */
  readonly isVouchedFor: boolean
  reload(): Promise<void>
}

export const pageContext = createContext<PageContext | null>(null)

export const usePage = (): PageContext => {
  const context = useContext(pageContext)
  if (context === null) throw new TypeError('no view stands outside of the page')
  return context
}

const tickers = new Set<() => void>()
setInterval(() => {
  for (const tick of tickers) tick()
}, 1000)

/** @returns what `look` says, looked at again each second; draws only when that is another */
export const useEachSecond = <T extends string | number>(look: () => T): T => {
  const [, setSeen] = useState<T>(look)
  const now = look()
  useEffect(() => {
    const tick = (): void => setSeen(look())
    tickers.add(tick)
    return () => {
      tickers.delete(tick)
    }
  })
  return now
}
