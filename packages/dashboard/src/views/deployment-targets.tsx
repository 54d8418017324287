// The hosts of a deployment, batch by batch: what each does now, what it did, why it stopped.
import type { DeploymentView, ProgressView, TargetView } from '@longshore/controller/api'
import { useState } from 'preact/hooks'
import { arrangeTargets, type Batch } from '../core/arrange-targets.ts'
import { cleanLine } from '../core/clean-line.ts'
import { addressOf } from '../core/read-route.ts'
import { showBytes } from '../core/show-amount.ts'
import { Badge } from '../parts/badge.tsx'
import { LogsLink } from '../parts/logs-link.tsx'

export const DeploymentTargets = ({ deployment }: { deployment: DeploymentView }) => {
  const [text, setText] = useState('')
  const batches = arrangeTargets(deployment, text)
  return (
    <>
      <search class="wishes">
        <label>
          Filter hosts
          <input
            type="search"
            placeholder="host, state, reason"
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        </label>
      </search>
      {batches.map((batch) => (
        <OneBatch
          key={`${batch.service} ${batch.batch}`}
          batch={batch}
          environment={deployment.environment}
          isOnly={deployment.services.length === 1}
        />
      ))}
    </>
  )
}

type Batched = { batch: Batch; environment: string; isOnly: boolean }

const OneBatch = ({ batch, environment, isOnly }: Batched) => (
  <section class={batch.isNow ? 'batch now' : 'batch'}>
    <h2>
      {!isOnly && `${batch.service}: `}
      {batch.batch === null ? 'Not in a batch yet' : `Batch ${batch.batch}`}
      {batch.isNow && ' (switches now)'}
    </h2>
    <ul class="targets">
      {batch.targets.map((target) => (
        <Target key={target.host} target={target} environment={environment} />
      ))}
    </ul>
    {batch.leftOut > 0 && <p class="dim">{batch.leftOut} more hosts: filter to see them.</p>}
  </section>
)

const Target = ({ target, environment }: { target: TargetView; environment: string }) => (
  <li>
    <div class="target">
      <a href={addressOf({ view: 'host', id: target.agent })}>{target.host}</a>
      <Badge state={target.state} />
      <span class="dim">
        serves {target.serving}
        {target.servingRelease !== null &&
          target.servingRelease !== undefined &&
          ` (r${target.servingRelease})`}
        {target.source !== undefined &&
          `, image ${target.source === null ? 'was there' : `from ${target.source}`}`}
      </span>
      {target.progress !== undefined && <Progress progress={target.progress} host={target.host} />}
      <LogsLink environment={environment} service={target.service} host={target.host} />
    </div>
    {target.progress?.health !== undefined && <Answers health={target.progress.health} />}
    {target.reason !== undefined && (
      <p>
        {target.code !== undefined && <span class="mono">{target.code} </span>}
        {cleanLine(target.reason)}
      </p>
    )}
    <Sources target={target} />
    <Plan target={target} />
    {target.log !== undefined && target.log.length > 0 && (
      <details open>
        <summary>Last lines of the container</summary>
        <pre>{target.log.map(cleanLine).join('\n')}</pre>
      </details>
    )}
    <Steps target={target} />
  </li>
)

const Progress = ({ progress, host }: { progress: ProgressView; host: string }) => {
  const { step, position, total, detail, bytes, connections } = progress
  return (
    <span class="progress">
      {step} ({position}/{total}){detail !== undefined && `: ${cleanLine(detail)}`}
      {bytes !== undefined && bytes.total > 0 && (
        <>
          <progress value={bytes.done} max={bytes.total} aria-label={`${step} on ${host}`} />
          {showBytes(bytes.done)} of {showBytes(bytes.total)}
        </>
      )}
      {connections !== undefined &&
        ` ${connections.requests} requests and ${connections.upgraded} upgraded connections left`}
    </span>
  )
}

const Answers = ({ health }: { health: NonNullable<ProgressView['health']> }) => (
  <ul class="answers" aria-label="Answers of the health check">
    {health.map(({ container, attempt, isOk, answer, tookMs }) => (
      <li key={container}>
        {container}: <Badge state={isOk ? 'healthy' : 'not yet'} of={isOk ? 'healthy' : 'starting'} /> attempt{' '}
        {attempt}, <span class="mono">{answer}</span>, in {tookMs} ms
      </li>
    ))}
  </ul>
)

const Sources = ({ target: { failedSources = [] } }: { target: TargetView }) => (
  <>
    {failedSources.map(({ source, code, detail }) => (
      <p key={source} class="dim">
        not from {source}: {code}, {cleanLine(detail)}
      </p>
    ))}
  </>
)

const Plan = ({ target: { plan } }: { target: TargetView }) => {
  if (plan === undefined) return null
  return (
    <details>
      <summary>
        {plan.isRunning ? 'Runs exactly this: nothing to do' : `Would do ${plan.steps.length} steps`}
      </summary>
      <ol>
        {plan.steps.map((step) => (
          <li key={step}>{step}</li>
        ))}
      </ol>
      {plan.notices?.map((notice) => (
        <p key={notice}>{notice}</p>
      ))}
      {plan.refusals.map(({ code, detail }) => (
        <p key={code} class="bad-text">
          {code}: {detail}
        </p>
      ))}
      {plan.changes.length > 0 && (
        <p class="dim">Changes: {plan.changes.map(({ path }) => path).join(', ')}</p>
      )}
    </details>
  )
}

const Steps = ({ target: { steps = [] } }: { target: TargetView }) => {
  if (steps.length === 0) return null
  return (
    <details>
      <summary>{steps.length === 1 ? '1 step' : `${steps.length} steps`} so far</summary>
      <ol>
        {steps.map(({ step, startedMs, endedMs, outcome }, index) => (
          <li key={index}>
            {step}: {outcome}, {((endedMs - startedMs) / 1000).toFixed(1)} s, begun{' '}
            {(startedMs / 1000).toFixed(1)} s into its command
          </li>
        ))}
      </ol>
    </details>
  )
}
