// Which differences between a container and its create request are told as changed by hand, and which are not.
import t from 'tap'
import { buildCreateRequest } from '../../../../packages/agent/src/core/create-request.ts'
import { type Adjusted, changesByHand } from '../../../../packages/agent/src/core/hand-changes.ts'
import type { ReleaseRecord, RestartPolicy } from '../../../../packages/agent/src/core/observation.ts'
import { ownershipOf, ownRequest } from '../../../../packages/agent/src/core/release-record.ts'
import { releaseBody, sampleCommand, sampleDigest, sampleSpec } from '../../../support/run-samples.ts'

const mebibyte = 1024 * 1024
const always: RestartPolicy = { name: 'always', maxRetries: 0 }
const command = sampleCommand(1, releaseBody(1, sampleSpec()))

const recordOf = (change: Parameters<typeof sampleSpec>[0] = {}): ReleaseRecord => {
  const spec = sampleSpec(change)
  const image = { repository: 'web', tag: null, digest: sampleDigest } as never
  const owner = ownershipOf(command, 1, 0, { specHash: 'a', purpose: 'serving', restart: always })
  const built = buildCreateRequest({ spec, image, name: 'web-r1-0', labels: {}, apiMinor: 41 })
  const joins = built.furtherNetworks.map(({ name }) => ({ network: name, endpoint: {} }))
  return {
    environment: command.environment,
    service: command.service,
    release: 1,
    containers: [
      { index: 0, request: ownRequest({ body: { ...built.body }, joins }, owner), restart: always }
    ],
    containerName: spec.containerName,
    rule: { probe: null, timeoutMs: null },
    graceMs: 0,
    replaced: null
  }
}

const lookOf = (change: Partial<Adjusted> = {}): Adjusted => ({
  id: 'c1',
  name: 'web-r1-0',
  state: 'running',
  health: 'none',
  image: 'web',
  createdAtMs: 0,
  restart: always,
  owner: ownershipOf(command, 1, 0, { specHash: 'a', purpose: 'serving', restart: always }),
  publishes: [],
  ownAddress: null,
  adjustable: { Memory: 0, MemorySwap: 0, CpusetCpus: '' },
  networks: ['bridge'],
  ...change
})

const cases: [
  name: string,
  spec: Parameters<typeof sampleSpec>[0],
  look: Partial<Adjusted>,
  changes: string[]
][] = [
  ['nothing', {}, {}, []],
  ['a limit', {}, { adjustable: { Memory: 64 * mebibyte } }, ['memory limit is 64 MiB, not unlimited']],
  [
    'another limit',
    { memoryLimitBytes: 128 * mebibyte },
    { adjustable: { Memory: 1000, MemorySwap: 256 * mebibyte } },
    ['memory limit is 1000 bytes, not 128 MiB']
  ],
  [
    'a limit that the kernel does not know',
    { memoryLimitBytes: mebibyte },
    { adjustable: { Memory: 0 } },
    []
  ],
  [
    'limits as asked for',
    { nanoCpus: 5e8, pidsLimit: 9, memorySwapLimitBytes: -1 },
    { adjustable: { NanoCpus: 5e8, PidsLimit: 9, MemorySwap: -1 } },
    []
  ],
  ['cores', {}, { adjustable: { NanoCpus: 1.5e9 } }, ['CPU limit is 1.5 cores, not unlimited']],
  ['a set of CPUs', {}, { adjustable: { CpusetCpus: '0' } }, ['set of CPUs is 0, not all']],
  [
    'a policy',
    {},
    { restart: { name: 'on-failure', maxRetries: 2 } },
    ['restart policy is on-failure:2, not always']
  ],
  ['a name', {}, { name: 'other' }, ['name is other, not web-r1-0']],
  ['a name of ours with a number', {}, { name: 'web-r1-0-2' }, []],
  ['the fixed name', { containerName: 'web' }, { name: 'web' }, []],
  ['the fixed name taken away', { containerName: 'web' }, {}, ['name is web-r1-0, not web']],
  [
    'networks',
    {
      networks: [
        { name: 'front', aliases: [] },
        { name: 'back', aliases: [] }
      ]
    },
    { networks: ['front', 'spy'] },
    ['is not connected to the network back', 'is also connected to the network spy']
  ],
  ['a mode', { networkMode: 'own' }, { networks: ['own'] }, []],
  ["the host's network", { networkMode: 'host' }, { networks: ['host'] }, []],
  ['a container that is down', {}, { state: 'exited', name: 'x', restart: { name: 'no', maxRetries: 0 } }, []]
]
for (const [name, spec, look, changes] of cases) {
  t.test(`sees ${changes.length === 0 ? 'no change in' : 'a change of'} ${name}`, async (t) => {
    t.same(changesByHand(lookOf(look), recordOf(spec)), changes)
  })
}

t.test('without the journal the label knows the policy, and the rest is not guessed', async (t) => {
  const changed = lookOf({ name: 'x', networks: [], restart: { name: 'no', maxRetries: 0 } })
  t.same(changesByHand(changed, undefined), ['restart policy is no, not always'])
  const owner = changed.owner && { ...changed.owner, restart: null }
  t.same(changesByHand({ ...changed, owner }, undefined), [], 'nor the policy of an older agent')
})

t.test('a container of a command or a rehearsal is not compared', async (t) => {
  const base = lookOf({ name: 'x' })
  const owner = base.owner && { ...base.owner, purpose: 'rehearsal' as const }
  t.same(changesByHand({ ...base, owner }, recordOf()), [])
})
