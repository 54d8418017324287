// Prometheus's text format, read strictly: every line is understood, every family is announced once with help and type
// and stands together, and no series is there twice. github.com/prometheus/docs, "Exposition formats", version 0.0.4.

export type Sample = { name: string; labels: Record<string, string>; value: number }
export type Family = { name: string; help: string; type: string; samples: Sample[] }

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

/** @throws SyntaxError with the line that is wrong */
export const readExposition = (text: string): Map<string, Family> => {
  if (!text.endsWith('\n')) throw new SyntaxError('the last line has no line feed')
  const families = new Map<string, Family>()
  const seen = new Set<string>()
  let open: Family | undefined
  const begin = (name: string): Family => {
    if (!metricName.test(name)) throw new SyntaxError(`no name of a metric: ${name}`)
    if (families.has(name)) throw new SyntaxError(`the family ${name} is there twice, or torn apart`)
    const family: Family = { name, help: '', type: '', samples: [] }
    families.set(name, family)
    return family
  }
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (word === 'HELP') {
      open = begin(name)
      open.help = rest
    } else if (word === 'TYPE') {
      if (open?.name !== name || open.type !== '') throw new SyntaxError(`a type out of place: ${line}`)
      if (!['counter', 'gauge', 'histogram'].includes(rest))
        throw new SyntaxError(`an unexpected type: ${line}`)
      open.type = rest
    } else {
      const sample = readSample(line)
      if (open?.type === undefined || open.type === '' || !namesOf(open).includes(sample.name))
        throw new SyntaxError(`a sample outside of its family: ${line}`)
      if (open.type === 'counter' && !sample.name.endsWith('_total'))
        throw new SyntaxError(`a counter is called ..._total: ${line}`)
      const series = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`
      if (seen.has(series)) throw new SyntaxError(`the same series twice: ${line}`)
      seen.add(series)
      open.samples.push(sample)
    }
  }
  for (const family of families.values()) if (family.type === 'histogram') demandHistogram(family)
  return families
}

const namesOf = ({ name, type }: Family): string[] =>
  type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name]

/** Each series has buckets that never fall, the last of which is `+Inf` and has as many as are counted. */
const demandHistogram = ({ name, samples }: Family): void => {
  const series = new Map<string, Sample[]>()
  for (const sample of samples) {
    const { le: _, ...labels } = sample.labels
    const key = JSON.stringify(Object.entries(labels).sort())
    series.set(key, [...(series.get(key) ?? []), sample])
  }
  for (const [labels, own] of series) {
    const buckets = own.filter((one) => one.name.endsWith('_bucket'))
    const bounds = buckets.map((one) => (one.labels['le'] === '+Inf' ? Infinity : Number(one.labels['le'])))
    const isAscending = bounds.every((bound, at) => at === 0 || bound > (bounds[at - 1] ?? Infinity))
    const isCumulated = buckets.every((one, at) => at === 0 || one.value >= (buckets[at - 1]?.value ?? 0))
    const [sums, counts] = ['_sum', '_count'].map((end) => own.filter((one) => one.name === name + end))
    const isWhole = sums?.length === 1 && counts?.length === 1 && counts[0]?.value === buckets.at(-1)?.value
    if (!isAscending || !isCumulated || !isWhole || bounds.at(-1) !== Infinity)
      throw new SyntaxError(`no histogram: ${name} ${labels}`)
  }
}

const readSample = (line: string): Sample => {
  const [, name, , inner = '', number = ''] = /^([a-zA-Z_:][\w:]*)(\{(.*)\})? (\S+)$/.exec(line) ?? []
  const value = Number(number)
  if (name === undefined || number === '' || Number.isNaN(value)) throw new SyntaxError(`no sample: ${line}`)
  return { name, labels: readLabels(inner, line), value }
}

const readLabels = (text: string, line: string): Record<string, string> => {
  const labels: Record<string, string> = {}
  const pair = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y
  while (pair.lastIndex < text.length) {
    const [, name = '', value = ''] = pair.exec(text) ?? []
    if (name === '' || name in labels) throw new SyntaxError(`labels that cannot be read: ${line}`)
    labels[name] = value.replaceAll(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one))
  }
  return labels
}
