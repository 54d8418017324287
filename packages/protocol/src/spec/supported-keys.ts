// Every key that a service file may have, as paths: what docs/service-file.md is compared with.
import { healthcheckKeys, loggingKeys } from './read-container-keys.ts'
import { envFileKeys } from './read-environment.ts'
import { networkKeys, portKeys } from './read-network-keys.ts'
import { limitKeys, reservationKeys, resourcesKeys, ulimitKeys } from './read-resource-keys.ts'
import {
  deployKeys,
  httpProbeKeys,
  longshoreKeys,
  placementKeys,
  probeKeys,
  releaseCommandKeys,
  tcpProbeKeys,
  updateKeys
} from './read-rollout-keys.ts'
import { tlsKeys } from './read-routing-keys.ts'
import { composeOnlyKeys, serviceKeys } from './read-service.ts'
import { definitionKeys, topLevelKeys } from './read-service-files.ts'
import { sourceKeys } from './read-sources.ts'
import {
  bindKeys,
  deviceKeys,
  gpuKeys,
  tmpfsKeys,
  volumeKeys,
  volumeOptionKeys
} from './read-storage-keys.ts'

const below = (parent: string, keys: readonly string[]): string[] => keys.map((key) => `${parent}.${key}`)

/** Keys of a service, those below them as `deploy.replicas`, items of lists as `ports[].target`. */
export const supportedServiceKeys: readonly string[] = [
  ...serviceKeys,
  ...composeOnlyKeys,
  ...below('env_file[]', envFileKeys),
  ...below('ports[]', portKeys),
  ...below('volumes[]', volumeKeys),
  ...below('volumes[].bind', bindKeys),
  ...below('volumes[].volume', volumeOptionKeys),
  ...below('volumes[].tmpfs', tmpfsKeys),
  ...below('devices[]', deviceKeys),
  ...below('gpus[]', gpuKeys),
  ...below('networks.NAME', networkKeys),
  ...below('ulimits.NAME', ulimitKeys),
  ...below('logging', loggingKeys),
  ...below('healthcheck', healthcheckKeys),
  ...below('deploy', deployKeys),
  ...below('deploy.placement', placementKeys),
  ...below('deploy.resources', resourcesKeys),
  ...below('deploy.resources.limits', limitKeys),
  ...below('deploy.resources.reservations', reservationKeys),
  ...below('deploy.update_config', updateKeys),
  ...below('x-longshore', longshoreKeys),
  ...below('x-longshore.release_command', releaseCommandKeys),
  ...below('x-longshore.sources[]', sourceKeys),
  ...below('x-longshore.tls', tlsKeys),
  ...below('x-longshore.probe', probeKeys),
  ...below('x-longshore.probe.http', httpProbeKeys),
  ...below('x-longshore.probe.tcp', tcpProbeKeys)
]

export const supportedTopLevelKeys: readonly string[] = [
  ...topLevelKeys,
  ...below('networks.NAME', definitionKeys),
  ...below('volumes.NAME', definitionKeys)
]
