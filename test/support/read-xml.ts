// A small strict reader of XML for tests: elements, attributes and text, nothing else. Throws on whatever is not
// well-formed, so that what it accepts any reader does.

export type Xml = { name: string; attributes: Record<string, string>; children: Xml[]; text: string }

const entities: Record<string, string> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&apos;': "'"
}
// XML 1.0, section 2.2: Char, and no characters of formatting, which we never write
const permitted = /^(?:[\t\n\r\u0020-\ud7ff\ue000-\ufffd]|[\u{10000}-\u{10ffff}])*$/u
const token =
  /<\?xml version="1\.0" encoding="UTF-8"\?>\n|<(\/?)([a-z-]+)((?: [a-z]+="[^"<]*")*)(\/?)>|([^<]+)/y

const decode = (text: string): string => {
  if (/&(?!(?:amp|lt|gt|quot|apos);)/.test(text)) throw new Error(`a bare ampersand: ${text}`)
  return text.replaceAll(/&\w+;/g, (entity) => entities[entity] ?? '')
}

const attributesOf = (text: string): Record<string, string> => {
  const pairs = [...text.matchAll(/ ([a-z]+)="([^"]*)"/g)].map(
    ([, key = '', value = '']) => [key, decode(value)] as const
  )
  if (new Set(pairs.map(([key]) => key)).size < pairs.length) throw new Error(`an attribute twice: ${text}`)
  return Object.fromEntries(pairs)
}

/** @returns the only root element */
export const readXml = (source: string): Xml => {
  if (!permitted.test(source)) throw new Error('a character that XML cannot hold')
  const document: Xml = { name: '', attributes: {}, children: [], text: '' }
  const open = [document]
  token.lastIndex = 0
  while (token.lastIndex < source.length) {
    const from = token.lastIndex
    const found = token.exec(source)
    if (found === null) throw new Error(`not well-formed: ${source.slice(from, from + 80)}`)
    const [, end, name, attributes = '', isEmpty, text] = found
    const parent = open.at(-1)
    if (parent === undefined) throw new Error('more is closed than was opened')
    if (text !== undefined) parent.text += decode(text)
    if (name === undefined) continue
    if (end === '/') {
      if (parent.name !== name || attributes !== '') throw new Error(`${name} closes ${parent.name}`)
      open.pop()
      continue
    }
    const element: Xml = { name, attributes: attributesOf(attributes), children: [], text: '' }
    parent.children.push(element)
    if (isEmpty !== '/') open.push(element)
  }
  const [root, ...more] = document.children
  if (open.length !== 1 || root === undefined || more.length > 0 || document.text.trim() !== '') {
    throw new Error('not one closed root element')
  }
  return root
}

export const childrenOf = (element: Xml | undefined, name: string): Xml[] =>
  (element?.children ?? []).filter((child) => child.name === name)
