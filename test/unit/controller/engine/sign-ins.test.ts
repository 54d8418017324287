// What a browser keeps of a sign-in that came to nothing: all that is said, as long as a cookie holds it.
import t from 'tap'
import { systemRandom } from '../../../../packages/controller/src/adapters/clock/system-clock.ts'
import { createSealer } from '../../../../packages/controller/src/adapters/keys/sealing-key.ts'
import { createSignIns } from '../../../../packages/controller/src/engine/sign-ins.ts'
import { HandClock } from './engine-scene.ts'

const refuse = (): never => {
  throw new Error('not prepared')
}

t.test('a refusal of many words fits into a cookie', async (t) => {
  const signIns = createSignIns({
    store: { issuers: refuse },
    sealer: createSealer(t.testdir()),
    clock: new HandClock(),
    random: systemRandom,
    flow: { addressFor: refuse, exchange: refuse },
    idTokens: { verify: refuse }
  })
  const long = await signIns.sealRefusal('漢'.repeat(10_000))
  t.ok(long.length < 4000, `${long.length} characters`)
  t.match(await signIns.openRefusal(long), /^漢{800}\.\.\. \(all of it is in the controller's log\)$/)
  t.equal(await signIns.openRefusal(await signIns.sealRefusal('no rule fits')), 'no rule fits')
})
