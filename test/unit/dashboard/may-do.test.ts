// The page offers what the controller allows, and nothing else.
import t from 'tap'
import { verbs } from '../../../packages/controller/src/api/schemas.ts'
import { isAllowed } from '../../../packages/controller/src/core/access/permissions.ts'
import { actionsFor, mayDo } from '../../../packages/dashboard/src/core/may-do.ts'

t.test('the page judges every verb and every name as the controller does', async (t) => {
  const names = ['staging/api', 'staging/*', '*/api', '*/*', 'production/api', 'staging/web']
  for (const granted of ['*', ...verbs]) {
    for (const at of names) {
      const allow = [`${granted}:${at}`]
      for (const verb of verbs) {
        const need = { verb, environment: 'staging', service: 'api' }
        const expected = isAllowed(allow, need)
        if (mayDo(allow, verb, 'staging', 'api') !== expected) t.fail(`${allow} and ${verb}`)
        const all = { ...need, service: '*' }
        if (mayDo(allow, verb, 'staging', '*') !== isAllowed(allow, all))
          t.fail(`${allow} and ${verb} of all`)
      }
    }
  }
  t.ok(mayDo(['deploy:staging/api'], 'cancel', 'staging', 'api'))
  t.notOk(mayDo(['read:staging/api', 'read:staging/web'], 'read', 'staging', '*'))
})

t.test('buttons are those that fit the state of the deployment and the session', async (t) => {
  type Judged = Parameters<typeof actionsFor>[0]
  const rolling = {
    environment: 'staging',
    services: [{ service: 'api' }, { service: 'web' }],
    phase: 'rolling',
    mode: 'deploy',
    outcome: null,
    isCancelRequested: false
  } as unknown as Judged
  const ended = { ...rolling, phase: 'ended', outcome: 'succeeded' } as Judged
  const none = { cancel: false, resume: false, rollback: false, promoteTo: [] }
  const environments = ['staging', 'production', 'wip']
  const all = ['*:*/*']
  t.same(actionsFor(rolling, all, environments), { ...none, cancel: true })
  t.same(actionsFor(rolling, ['cancel:staging/api'], environments), none, 'of every service')
  t.same(actionsFor({ ...rolling, isCancelRequested: true }, all, environments), none)
  t.same(actionsFor({ ...rolling, phase: 'paused' }, all, []), { ...none, cancel: true, resume: true })
  t.same(actionsFor(ended, all, environments), { ...none, rollback: true, promoteTo: ['production', 'wip'] })
  t.same(actionsFor(ended, ['deploy:wip/*', 'read:staging/*'], environments), { ...none, promoteTo: ['wip'] })
  t.same(actionsFor({ ...ended, outcome: 'mixed' }, all, environments), none)
  t.same(actionsFor({ ...ended, mode: 'plan' }, all, environments), none)
})
