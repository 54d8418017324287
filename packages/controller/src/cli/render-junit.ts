// Test suites as JUnit XML, the dialect that Jenkins reads (github.com/jenkinsci/xunit-plugin, junit-10.xsd). Pure.
import type { Case, Suite, Verdict } from './junit-suite.ts'

export function renderJunit(suites: readonly Suite[]): string {
  const lines = suites.flatMap(renderSuite)
  return ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites>', ...lines, '</testsuites>', ''].join('\n')
}

function renderSuite({ name, atMs, durationMs, properties, cases }: Suite): string[] {
  const count = (kind: Verdict['kind']): number => cases.filter(({ verdict }) => verdict.kind === kind).length
  const head = element('testsuite', {
    name,
    // without a zone, as the schema wants it: UTC
    timestamp: new Date(atMs).toISOString().slice(0, 19),
    time: seconds(durationMs),
    tests: cases.length,
    failures: count('failure'),
    errors: count('error'),
    skipped: count('skipped')
  })
  const known = Object.entries(properties).map(
    ([key, value]) => `      ${element('property', { name: key, value }, '/')}`
  )
  return [
    `  ${head}`,
    ...(known.length === 0 ? [] : ['    <properties>', ...known, '    </properties>']),
    ...cases.flatMap(renderCase),
    '  </testsuite>'
  ]
}

function renderCase({ name, className, durationMs, verdict, output }: Case): string[] {
  const attributes = { name, classname: className, time: durationMs === null ? null : seconds(durationMs) }
  return [
    `    ${element('testcase', attributes)}`,
    ...renderVerdict(verdict),
    ...(output.length === 0 ? [] : [`      <system-out>${escapeXml(output.join('\n'))}</system-out>`]),
    '    </testcase>'
  ]
}

function renderVerdict(verdict: Verdict): string[] {
  if (verdict.kind === 'passed') return []
  if (verdict.kind === 'skipped') return [`      ${element('skipped', { message: verdict.message }, '/')}`]
  const { kind, message, type, text } = verdict
  return [`      ${element(kind, { message, type })}${escapeXml(text.join('\n'))}</${kind}>`]
}

function element(name: string, attributes: Record<string, string | number | null>, end = ''): string {
  const written = Object.entries(attributes).flatMap(([key, value]) =>
    value === null ? [] : [` ${key}="${escapeXml(String(value))}"`]
  )
  return `<${name}${written.join('')}${end}>`
}

const seconds = (ms: number): string => (Math.max(0, ms) / 1000).toFixed(3)

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
// XML 1.0 has no way to write most controls, nor half a surrogate pair (section 2.2); formatting characters could
// paint on whatever shows the report. Line feeds stay: text is written in lines.
const unwritable = /[\p{Cs}\p{Cf}\ufffe\uffff]|(?!\n)\p{Cc}/gu

const escapeXml = (text: string): string =>
  text.replaceAll(unwritable, ' ').replaceAll(/[&<>"]/g, (character) => entities[character] ?? '')
