// What may be done about a deployment. What the session does not allow is not there.
import type { DeploymentView, DeployWhat } from '@longshore/controller/api'
import { useState } from 'preact/hooks'
import { ask } from '../ask-controller.ts'
import { actionsFor } from '../core/may-do.ts'
import { addressOf } from '../core/read-route.ts'
import { usePage } from '../page-context.ts'
import { ConfirmButton } from '../parts/confirm-button.tsx'

const goTo = ({ id }: { id: string }): void => {
  location.hash = addressOf({ view: 'deployment', id })
}

/** One deployment of all services of another. */
const begin = async (
  services: readonly string[],
  environment: string,
  whatOf: (index: number) => DeployWhat
): Promise<void> => {
  const [service] = services
  const body = {
    service,
    environment,
    what: whatOf(0),
    ...(services.length > 1 && {
      services: services.map((one, index) => ({ service: one, what: whatOf(index) }))
    })
  }
  goTo(await ask<DeploymentView>('POST', 'v1/deployments', body))
}

export const DeploymentButtons = ({ deployment }: { deployment: DeploymentView }) => {
  const { session, known, reload } = usePage()
  const actions = actionsFor(deployment, session.allow, known.environments)
  const { id, environment, services } = deployment
  const names = services.map(({ service }) => service)
  const title = `${names.join(', ')} in ${environment}`
  const steer = (verb: 'cancel' | 'resume') => async (): Promise<void> => {
    await ask('POST', `v1/deployments/${encodeURIComponent(id)}/${verb}`)
    await reload()
  }
  return (
    <p class="buttons">
      {actions.resume && (
        <ConfirmButton
          label="Resume"
          question={`Go on with the deployment of ${title}?`}
          act={steer('resume')}
        />
      )}
      {actions.cancel && (
        <ConfirmButton
          label="Cancel deployment"
          isDangerous
          question={`Cancel the deployment of ${title}? Hosts that have switched go back.`}
          act={steer('cancel')}
        />
      )}
      {actions.rollback && (
        <ConfirmButton
          label="Roll back"
          isDangerous
          question={`Bring ${title} back to the last good release before the current one?`}
          act={() => begin(names, environment, () => ({ by: 'rollback', release: null }))}
        />
      )}
      {actions.promoteTo.length > 0 && <Promote deployment={deployment} environments={actions.promoteTo} />}
    </p>
  )
}

const Promote = ({ deployment, environments }: { deployment: DeploymentView; environments: string[] }) => {
  const { environment: from, services } = deployment
  const [to, setTo] = useState(environments[0] ?? '')
  const names = services.map(({ service }) => service)
  const whatOf = (index: number): DeployWhat => {
    const digest = services[index]?.digest
    return { by: 'promote', from, ...(digest ? { digest } : {}) }
  }
  return (
    <ConfirmButton
      label="Promote"
      question={`Bring the image of ${names.join(', ')} in ${from} to another environment?`}
      act={() => begin(names, to, whatOf)}
    >
      <label>
        Environment
        <select value={to} onChange={({ currentTarget }) => setTo(currentTarget.value)}>
          {environments.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
    </ConfirmButton>
  )
}
