// Debian's Chromium on the page for operators: what it complains about, how it looks, and what axe finds in it.
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import axe from 'axe-core'
import { chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'

/** As scripts/setup-tests.sh installs it. */
const chromiumFile = '/usr/bin/chromium'
const pictures = resolve(import.meta.dirname, '../../out/screenshots')

/** `LONGSHORE_PROOF=1`, `npm run proof:ops`. */
const isProof = process.env['LONGSHORE_PROOF'] === '1'

/** Each scheme and each layout is searched by axe; where both were already, only in the proof. */
const looks = [
  { name: 'light', colorScheme: 'light', width: 1280, height: 800, isSearched: true },
  { name: 'dark', colorScheme: 'dark', width: 1280, height: 800, isSearched: isProof },
  { name: 'phone', colorScheme: 'light', width: 390, height: 844, isSearched: isProof },
  // WCAG 2.2, 1.4.10: nothing has to be scrolled in two directions at this width
  { name: 'narrow', colorScheme: 'dark', width: 320, height: 700, isSearched: true }
] as const

/** The browser's own: for an answer that is no success, whose use is looked at; for plain http to another machine. */
const ownLines = ['Failed to load resource', 'The Cross-Origin-Opener-Policy header has been ignored']

export type PageBrowser = {
  page: Page
  /** What the page logged as an error, threw, or was kept from by its policy. */
  complaints: string[]
  /** Keeps a picture in each colour scheme and width; axe has to find nothing, and nothing may be wider than a phone. */
  look(t: Test, view: string): Promise<void>
}

export const openPageBrowser = async (t: Test): Promise<PageBrowser> => {
  const browser = await chromium.launch({
    executablePath: chromiumFile,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']
  })
  t.teardown(() => browser.close())
  const page = await browser.newPage()
  page.setDefaultTimeout(60_000)
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error' && !ownLines.some((words) => message.text().startsWith(words)))
      complaints.push(message.text())
  })
  await mkdir(pictures, { recursive: true })
  const look = async (test: Test, view: string): Promise<void> => {
    for (const { name, colorScheme, width, height, isSearched } of looks) {
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme })
      await page.screenshot({ path: join(pictures, `${view}-${name}.png`), fullPage: true })
      const wide = await page.evaluate('document.documentElement.scrollWidth')
      test.ok(Number(wide) <= width, `${view} fits into ${width} px (${wide})`)
      if (isSearched) test.same(await findings(page), [], `axe finds nothing in ${view}, ${name}`)
    }
    await page.setViewportSize({ width: 1280, height: 800 })
  }
  return { page, complaints, look }
}

/** From the door to the fleet, as it is now. */
export const signIn = async (page: Page, { url, token }: { url: string; token: string }): Promise<void> => {
  await page.goto(url)
  await page.getByLabel('API token').fill(token)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Fleet', level: 1 }).waitFor()
  await page.getByText('live', { exact: true }).waitFor()
}

/** WCAG 2.2, 2.5.8: axe leaves it out unless it is asked. */
const rules = JSON.stringify({ 'target-size': { enabled: true } })

/** The debugger may evaluate what the page's policy would keep a script from. */
const findings = async (page: Page): Promise<unknown> => {
  await page.evaluate(`window.axe === undefined && (() => { ${axe.source} })()`)
  return page.evaluate(
    `axe.run({ rules: ${rules} }).then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 200))]))`
  )
}
