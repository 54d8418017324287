// The controller as the unit of deploy/systemd, beside the agent's: what a person sees and does there.
import { connect } from 'node:tls'
import type { Test } from 'tap'
import { makeAuthority } from '../authority.ts'
import { waitUntil } from '../wait.ts'
import type { Inside, LoadFleet } from './load-fleet.ts'

const unit = 'longshore-controller.service'

export const mainPidOf = async (inside: Inside, name: string): Promise<string> =>
  (await inside('systemctl', 'show', '--property=MainPID', '--value', name)).trim()

/** `systemctl start` comes back once the unit is ready, and by then it listens. */
export const startUnitController = async (t: Test, inside: Inside, { host }: LoadFleet): Promise<void> => {
  await inside('systemctl', 'start', unit)
  t.match(
    await inside('systemctl', 'status', '--no-pager', unit),
    /Status: "listening on https:.*; 0 hosts connected"/
  )
  t.equal((await inside('ps', '-o', 'user=', '-p', await mainPidOf(inside, unit))).trim(), 'longshore')
  t.match(await inside('stat', '--format=%U %a', '/etc/longshore/tls.key'), /^root 600$/m)
  t.equal(await servedName(host.address), 'controller')
}

/** A stopped process tells nobody anything: it is ended, and another one begins. */
export const stopSigns = async (inside: Inside, name = unit): Promise<() => Promise<unknown>> => {
  const before = await mainPidOf(inside, name)
  if (before === '0') throw new Error(`${name} does not run`)
  await inside('kill', '-STOP', before)
  return () =>
    waitUntil(
      `${name} to be started again`,
      async () => {
        const state = await inside('systemctl', 'show', '--property=ActiveState', '--value', name)
        return state.trim() === 'active' && (await mainPidOf(inside, name)) !== before
      },
      { deadlineMs: 60_000 }
    )
}

/** The new certificate is served without anybody's doing; one whose key is another's never is. */
export const renewCertificate = async (
  t: Test,
  inside: Inside,
  { folder, host }: LoadFleet
): Promise<void> => {
  const { cert, key } = await (await makeAuthority(folder, host.address)).certify('renewed')
  await inside('cp', cert, '/etc/longshore/tls.crt')
  await t.rejects(
    inside('systemctl', 'start', 'longshore-controller-tls.service'),
    'the key is still the former'
  )
  t.equal(await servedName(host.address), 'controller')
  await inside('cp', key, '/etc/longshore/tls.key')
  await waitUntil('the new certificate', async () => (await servedName(host.address)) === 'renewed', {
    deadlineMs: 60_000
  })
}

const servedName = (address: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: 7300, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.destroy()
    })
    socket.on('error', reject)
  })
