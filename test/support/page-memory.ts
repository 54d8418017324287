// What a page holds after a collection: whatever a view leaves behind stays among it.
import type { Page } from 'playwright-core'

export type Held = { heapMebibytes: number; nodes: number; listeners: number }

/** What is alive in the page, reachable from its document or not. */
export const heldBy = async (page: Page): Promise<Held> => {
  const session = await page.context().newCDPSession(page)
  await session.send('HeapProfiler.collectGarbage')
  const { usedSize } = await session.send('Runtime.getHeapUsage')
  const { nodes, jsEventListeners: listeners } = await session.send('Memory.getDOMCounters')
  await session.detach()
  return { heapMebibytes: usedSize / 1024 ** 2, nodes, listeners }
}
