// Which build a deployment is said to come from: the one that was given, else what the CI system tells.
import t from 'tap'
import { buildOf } from '../../../packages/controller/src/cli/build-name.ts'

const jenkins = { BUILD_URL: 'https://jenkins.example/job/api/7/', BUILD_TAG: 'jenkins-api-7' }
const github = {
  GITHUB_SERVER_URL: 'https://github.com',
  GITHUB_REPOSITORY: 'acme/api',
  GITHUB_RUN_ID: '42'
}

t.test('what is given counts, then what the CI system tells', async (t) => {
  t.equal(buildOf('mine', jenkins), 'mine')
  t.equal(buildOf(undefined, jenkins), jenkins.BUILD_URL)
  t.equal(
    buildOf(undefined, { ...github, BUILD_TAG: 'acme/api-42' }),
    'https://github.com/acme/api/actions/runs/42'
  )
  t.equal(buildOf(undefined, { CI_JOB_URL: 'https://ci/1', CI_PIPELINE_URL: 'https://ci/2' }), 'https://ci/1')
  t.equal(buildOf(undefined, { CI_PIPELINE_URL: 'https://ci/2' }), 'https://ci/2')
  t.equal(buildOf(undefined, { BUILD_TAG: 'jenkins-api-7' }), 'jenkins-api-7')
})

t.test('none is none, and what could not be shown is not told', async (t) => {
  t.equal(buildOf(undefined, {}), null)
  t.equal(buildOf(false, jenkins), null)
  t.equal(buildOf(undefined, { BUILD_URL: ' ', BUILD_TAG: 'x\u001b[31m' }), null)
  t.equal(buildOf(undefined, { ...github, GITHUB_RUN_ID: '' }), null)
  t.equal(buildOf(undefined, { BUILD_TAG: 'x'.repeat(600) })?.length, 500)
})
