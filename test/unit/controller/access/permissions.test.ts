// What one token may do, may hand on and may know of.
import t from 'tap'
import { verbs } from '../../../../packages/controller/src/api/schemas.ts'
import {
  isAllowed,
  isReadableBy,
  mayKnowEnvironment,
  mayManageToken,
  type Need,
  notGrantable,
  parsePermission
} from '../../../../packages/controller/src/core/access/permissions.ts'

const need = (text: string): Need => parsePermission(text)

t.test('each verb allows itself and what it cannot do without, and nothing else', async (t) => {
  const table: Record<string, string[]> = {
    read: ['read'],
    'read-values': ['read-values', 'read'],
    deploy: ['deploy', 'read', 'cancel'],
    rollback: ['rollback', 'read', 'cancel'],
    remove: ['remove', 'read', 'cancel'],
    cancel: ['cancel', 'read'],
    lock: ['lock', 'read'],
    apply: ['apply', 'read', 'read-values'],
    agents: ['agents', 'read'],
    environments: ['environments', 'read'],
    tokens: ['tokens'],
    audit: ['audit'],
    'push-image': ['push-image', 'pull-image'],
    'pull-image': ['pull-image'],
    '*': [...verbs]
  }
  for (const [granted, allowed] of Object.entries(table)) {
    for (const verb of verbs) {
      const is = isAllowed([`${granted}:staging/api`], need(`${verb}:staging/api`))
      t.equal(is, allowed.includes(verb), `${granted} ${is ? 'allows' : 'denies'} ${verb}`)
    }
  }
})

t.test('names match exactly or by a star, and a star is needed by what has no service', async (t) => {
  t.ok(isAllowed(['deploy:*/api'], need('deploy:staging/api')))
  t.notOk(isAllowed(['deploy:staging/api'], need('deploy:production/api')))
  t.notOk(isAllowed(['deploy:staging/api'], need('deploy:staging/api2')))
  t.notOk(isAllowed(['agents:staging/api'], need('agents:staging/*')))
  t.notOk(isAllowed(['read:staging/api', 'read:staging/web'], need('read:staging/*')))
  t.notOk(isAllowed([], need('read:staging/api')))
})

t.test('a deployment of several services is read by whoever may read them all', async (t) => {
  const both = { environment: 'staging', services: [{ service: 'api' }, { service: 'web' }] }
  t.ok(isReadableBy(['read:staging/api', 'deploy:staging/web'], both))
  t.ok(isReadableBy(['read:staging/*'], both))
  t.notOk(isReadableBy(['read:staging/api'], both))
})

t.test('a token hands on only what it has, and only where it may make tokens', async (t) => {
  t.same(notGrantable(['*:*/*'], ['*:*/*', 'deploy:staging/api']), [])
  t.same(notGrantable(['tokens:*/*'], ['deploy:staging/api']), ['deploy:staging/api'])
  t.same(notGrantable(['deploy:staging/api'], ['deploy:staging/api']), ['deploy:staging/api'])
  const own = ['tokens:staging/*', 'deploy:staging/*']
  t.same(notGrantable(own, ['deploy:staging/api', 'read:staging/api']), [])
  t.same(notGrantable(own, ['*:staging/api', 'deploy:production/api']), [
    '*:staging/api',
    'deploy:production/api'
  ])
})

t.test('a token is managed and an environment known only where a permission reaches', async (t) => {
  t.ok(mayManageToken(['tokens:staging/*'], ['deploy:staging/api']))
  t.notOk(mayManageToken(['tokens:staging/*'], ['deploy:staging/api', 'read:*/*']))
  t.ok(mayKnowEnvironment(['deploy:staging/api'], 'staging'))
  t.notOk(mayKnowEnvironment(['deploy:staging/api'], 'production'))
})
