// Plans and specs without the values of their environments.
import t from 'tap'
import { hidePlanValues } from '../../../packages/controller/src/api/hidden-values.ts'
import type { DeploymentView } from '../../../packages/controller/src/api/schemas.ts'

t.test(
  'a plan tells that a value changes, not what it is, for one service and not for another',
  async (t) => {
    const changes = [
      { path: 'environment.A', before: 'one', after: 'two' },
      { path: 'environment', after: { A: 'one' } },
      { path: 'stopGraceMs', before: 1, after: 2 }
    ]
    const targets = ['api', 'web'].map((service) => ({ service, plan: { changes } }))
    const view = { targets } as unknown as DeploymentView
    const [api, web] = hidePlanValues(view, (service) => service === 'web').targets
    t.same(api?.plan?.changes, [
      { path: 'environment.A', before: 'sha256:7692c3ad', after: 'sha256:3fc4ccfe' },
      { path: 'environment', before: undefined, after: { A: 'sha256:7692c3ad' } },
      changes[2]
    ])
    t.same(web?.plan?.changes, changes)
  }
)
