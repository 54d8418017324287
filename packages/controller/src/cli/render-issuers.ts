// The table of issuers whose ID tokens are taken or with which people sign in, a line for each rule. Pure.
import type { ClaimRule, IssuerView } from '../api/schemas.ts'
import { formatAge, formatDuration } from './format-values.ts'
import { renderTable } from './render-table.ts'

export function renderIssuers(issuers: readonly IssuerView[], nowMs: number): string {
  if (issuers.length === 0)
    return 'no issuers; let one in with: longshore issuers set NAME --issuer URL --rule "CLAIM=PATTERN PERMISSION"\n'
  const rows = issuers.flatMap(({ name, url, audience, maxAgeMs, signIn, rules, setAtMs, setBy }) =>
    rules.map((rule, index) =>
      index === 0
        ? [
            name,
            url,
            audience,
            formatDuration(maxAgeMs),
            signIn?.pageUrl ?? '-',
            ...formatRule(rule),
            formatAge(setAtMs, nowMs),
            setBy
          ]
        : ['', '', '', '', '', ...formatRule(rule), '', '']
    )
  )
  return renderTable(
    ['NAME', 'ISSUER', 'AUDIENCE', 'MAX AGE', 'SIGN-IN', 'CLAIMS', 'ALLOW', 'SET', 'BY'],
    rows
  )
}

const formatRule = ({ claims, allow }: ClaimRule): string[] => [
  Object.entries(claims)
    .map(([name, pattern]) => `${name}=${pattern}`)
    .join(' '),
  allow.join(' ')
]
