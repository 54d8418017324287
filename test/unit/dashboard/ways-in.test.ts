// Where people can sign in with an issuer, and which view they come back to.
import t from 'tap'
import { beginSignIn } from '../../../packages/controller/src/api/schemas.ts'
import { elsewhereFor, viewFor } from '../../../packages/dashboard/src/core/ways-in.ts'

t.test(
  'people sign in where the issuer sends them back to, and come back to a view of the page',
  async (t) => {
    const page = 'https://ops.example.com/longshore/'
    t.equal(elsewhereFor(page, 'https://ops.example.com', '#/audit'), null)
    t.equal(elsewhereFor(page, 'https://10.0.0.7:7300', '#/audit'), `${page}#/audit`)
    t.equal(
      elsewhereFor('https://ops.example.com:7300', 'https://ops.example.com', ''),
      'https://ops.example.com:7300/#/fleet'
    )
    for (const [hash, view] of [
      ['#/services/staging/web', '#/services/staging/web'],
      ['#/hosts/a b"<é', '#/hosts/a%20b%22%3C%C3%A9'],
      ['#https://evil.example.com', '#/fleet'],
      ['#/logs/staging/web?grep=a+b%23c', '#/logs/staging/web?grep=a+b%23c'],
      [`#/logs/staging/web?grep=%22&host=${'x'.repeat(1000)}`, '#/logs/staging/web'],
      [`#/hosts/${'x'.repeat(1000)}`, '#/'],
      ['', '#/fleet']
    ] as const) {
      t.equal(viewFor(hash), view)
      t.ok(beginSignIn.safeParse({ view: viewFor(hash) }).success, 'the controller takes it')
    }
  }
)
