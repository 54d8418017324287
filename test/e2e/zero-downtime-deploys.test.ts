// One version after the other, over HTTP/1.1, HTTP/2, WebSockets and a protocol of its own, while clients of all
// kinds use it and the app ends at once on SIGTERM: nobody notices, whatever becomes of the agent meanwhile.
import t from 'tap'
import { killedRounds, proofOptions, rounds } from '../support/load/deploy-services.ts'
import { startScene } from '../support/load/scene.ts'
import { testOnRealParts } from '../support/real-parts.ts'

testOnRealParts(
  t,
  'services are replaced while they are used, and no request fails',
  async (t) => {
    const scene = await startScene(t)
    await t.test(`${rounds} times`, (t) => scene.deployOften(t))
    await t.test(`${killedRounds} times, the agent being killed in each`, (t) => scene.killAgentOften(t))
    await t.test('the agent is stopped, killed and started again', (t) => scene.restartAgent(t))
    await t.test('HAProxy is replaced by another version', (t) => scene.replaceHaproxy(t))
  },
  proofOptions
)
