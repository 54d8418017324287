// What does a notice say in a chat? One text for an incoming webhook of Slack, or of whatever understands its
// format: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
import type { DeploymentNotice, HostsNotice, Notice } from '../../api/schemas.ts'

/** Hosts named in a chat; the notice itself has more. */
const maxHosts = 10

export const tellSlack = (notice: Notice): { text: string } => ({
  text: linesOf(notice).map(escaped).join('\n')
})

const linesOf = (notice: Notice): string[] => {
  switch (notice.type) {
    case 'host.lost':
    case 'host.returned':
      return hostLines(notice)
    case 'convergence.given-up': {
      const { service, environment, host, tries, reason } = notice.data
      return [
        `${service} in ${environment}: host ${host} cannot be repaired, given up after ${tries} tries`,
        reason
      ]
    }
    case 'webhook.test':
      return [`Test of the webhook ${notice.data.name}, asked for by ${notice.data.requestedBy}.`]
    default:
      return deploymentLines(notice)
  }
}

const deploymentLines = ({ type, data }: DeploymentNotice): string[] => {
  const what = data.services.map((one) => `${one.service} ${one.tag ?? `release ${one.release ?? 'none'}`}`)
  const verb = data.mode === 'remove' ? 'removal of ' : ''
  const more = data.hosts.length - maxHosts + data.hostsLeftOut
  return [
    `${verb}${what.join(', ')} in ${data.environment}: ${type.slice('deployment.'.length)}`,
    ...(data.reason === null ? [] : [data.reason]),
    ...data.hosts.slice(0, maxHosts).map(({ host, state, reason }) => `• ${host}: ${reason ?? state}`),
    ...(more > 0 ? [`• and ${more} more`] : []),
    `${data.deployment}, requested by ${data.requestedBy}`
  ]
}

const hostLines = ({ type, data }: HostsNotice): string[] => {
  const count = data.hosts.length + data.hostsLeftOut
  const named = data.hosts.slice(0, maxHosts).map(({ host }) => host)
  const more = count > named.length ? ` and ${count - named.length} more` : ''
  const said = type === 'host.lost' ? 'lost' : 'back'
  return [
    `${data.environment}: ${count === 1 ? 'host' : `${count} hosts`} ${said}: ${named.join(', ')}${more}`
  ]
}

/** Slack's three; without this a reason could call everybody (`<!channel>`). */
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
