// Where an image may come from: in a service file, as one text, and by which name a mirror has it.
import { imageSource, isRegistryOnly, mirrorRepository, parseSource, sourceText } from '@longshore/protocol'
import t from 'tap'
import { readServiceFiles, SpecError } from '../../../../packages/protocol/src/spec/index.ts'

const read = (text: string) => {
  const file = `services:\n  api:\n    image: app\n    x-longshore: {sources: ${text}}\n`
  const { services } = readServiceFiles([{ name: 'f.yaml', text: file }], { environment: {} })
  return Object.values(services)[0]?.sources
}

t.test('reads sources in their order', async (t) => {
  t.same(read('[registry, {mirror: mirror.example.com}, artifact]'), [
    { kind: 'registry' },
    { kind: 'mirror', at: 'mirror.example.com' },
    { kind: 'artifact' }
  ])
  t.equal(read(''), null, 'as the environment says')
  t.same(read('artifact'), [{ kind: 'artifact' }], 'one alone')
  t.same(read('[registry, artifact, registry]'), [{ kind: 'registry' }, { kind: 'artifact' }])
  t.same(read('[{mirror: "127.0.0.1:5000/hub/x"}]'), [{ kind: 'mirror', at: '127.0.0.1:5000/hub/x' }])
})

t.test('reads whether the controller fetches the image', async (t) => {
  for (const [text, expected] of [
    ['true', true],
    ['false', null]
  ] as const) {
    const file = `services: {api: {image: app, x-longshore: {cache: ${text}}}}`
    const { services } = readServiceFiles([{ name: 'f.yaml', text: file }], { environment: {} })
    t.equal(Object.values(services)[0]?.cache, expected)
  }
})

const refused: [text: string, message: RegExp][] = [
  ['[]', /at least one/],
  ['[docker]', /^expected registry, artifact, or mirror: HOST$/],
  ['[{mirror: hub}]', /expected a mirror like/],
  ['[{mirror: mirror.example.com/Upper}]', /lower case/],
  ['[{mirror: "https://mirror.example.com"}]', /without https/],
  ['[{mirror: mirror.example.com/}]', /expected a mirror like/],
  ['[{mirrors: mirror.example.com}]', /mirror/],
  ['[{}]', /registry, artifact, or mirror/],
  [`[${Array.from({ length: 9 }, (_, at) => `{mirror: m${at}.test}`).join(', ')}]`, /at most 8/]
]
for (const [text, message] of refused) {
  t.test(`refuses ${text.slice(0, 40)}`, async (t) => {
    try {
      read(text)
      t.fail('it was read')
    } catch (error) {
      if (!(error instanceof SpecError)) throw error
      t.match(error.problems[0]?.message, message)
    }
  })
}

t.test('writes a source as one text, and reads it back', async (t) => {
  for (const text of ['registry', 'artifact', 'mirror:mirror.example.com:5000/hub']) {
    const source = parseSource(text)
    t.ok(imageSource.safeParse(source).success, text)
    t.equal(source && sourceText(source), text)
  }
  for (const text of ['', 'mirror', 'mirror:', 'mirror:hub', 'Registry'])
    t.equal(parseSource(text), undefined, text)
  t.ok(isRegistryOnly([{ kind: 'registry' }]))
  t.notOk(isRegistryOnly([{ kind: 'registry' }, { kind: 'artifact' }]))
})

t.test('finds a repository below a mirror', async (t) => {
  const names: [repository: string, at: string, expected: string][] = [
    ['registry.example.com/team/api', 'mirror.test', 'mirror.test/team/api'],
    ['registry.example.com:5000/api', 'mirror.test:5001/cache', 'mirror.test:5001/cache/api'],
    ['nginx', 'mirror.test', 'mirror.test/library/nginx'],
    ['docker.io/nginx', 'mirror.test', 'mirror.test/library/nginx'],
    ['team/api', 'mirror.test', 'mirror.test/team/api'],
    ['localhost/api', 'mirror.test', 'mirror.test/api']
  ]
  for (const [repository, at, expected] of names) t.equal(mirrorRepository(repository, at), expected)
})
