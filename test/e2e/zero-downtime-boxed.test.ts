// The same with agent and HAProxy as containers of the host's own engine: a deployment, an agent that is replaced,
// a HAProxy that is replaced, and nobody who uses the services notices.
import t from 'tap'
import { proofOptions, rounds } from '../support/load/deploy-services.ts'
import { startScene } from '../support/load/scene.ts'
import { testOnRealParts } from '../support/real-parts.ts'

testOnRealParts(
  t,
  'with agent and HAProxy in containers no request fails either',
  async (t) => {
    const scene = await startScene(t, { runAs: 'container' })
    await t.test(`${rounds} times`, (t) => scene.deployOften(t))
    await t.test('the agent is stopped, killed and started again', (t) => scene.restartAgent(t))
    await t.test('HAProxy is replaced by another version', (t) => scene.replaceHaproxy(t))
  },
  proofOptions
)
