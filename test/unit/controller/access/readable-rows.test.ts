// The rows that a token may read, as the store is asked for them, are those that its permissions allow.
import fc from 'fast-check'
import t from 'tap'
import { type Permission, verbs } from '../../../../packages/controller/src/api/schemas.ts'
import { isAllowed } from '../../../../packages/controller/src/core/access/permissions.ts'
import { readableRows } from '../../../../packages/controller/src/core/access/readable-rows.ts'

const names = ['a', 'b'] as const
const name = fc.constantFrom(...names, '*')
const arbitraryPermission: fc.Arbitrary<Permission> = fc
  .tuple(fc.constantFrom(...verbs, '*'), name, name)
  .map(([verb, environment, service]) => `${verb}:${environment}/${service}`)

t.test('a row fits a scope exactly when a permission allows to read it', async () => {
  fc.assert(
    fc.property(fc.array(arbitraryPermission, { maxLength: 5 }), (allow) => {
      const scopes = readableRows(allow)
      return names.every((environment) =>
        names.every((service) => {
          const fits = scopes.some(
            (scope) =>
              (scope.environment ?? environment) === environment && (scope.service ?? service) === service
          )
          return fits === isAllowed(allow, { verb: 'read', environment, service })
        })
      )
    }),
    { numRuns: 500 }
  )
})

t.test('what another scope covers is left out', async (t) => {
  t.same(readableRows(['*:*/*', 'read:a/b', 'deploy:*/*']), [{ environment: null, service: null }])
  t.same(readableRows(['read:a/*', 'deploy:a/b', 'read:*/b']), [
    { environment: 'a', service: null },
    { environment: null, service: 'b' }
  ])
  t.same(readableRows(['tokens:a/b']), [])
})
