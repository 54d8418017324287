// The table of images that hosts hold: a line for each image, and one for a host without any. Pure.
import type { HostImages } from '../api/schemas.ts'
import { formatBytes, formatDigest } from './format-values.ts'
import { renderTable } from './render-table.ts'

export function renderImages(hosts: readonly HostImages[]): string {
  if (hosts.length === 0) return 'no hosts; let one join with: longshore join-token create --env NAME\n'
  const head = ['HOST', 'ENVIRONMENT', 'SERVICE', 'RELEASES', 'DIGEST', 'SIZE', 'DISK FREE']
  return renderTable(head, hosts.flatMap(renderHost))
}

function renderHost(of: HostImages): string[][] {
  const { host, environment, images } = of
  const free = describeRoom(of)
  if (images === null) return [[host, environment, 'not told', '', '', '', free]]
  if (images.length === 0) return [[host, environment, '-', '', '', '', free]]
  return images.map(({ service, releases, digest, sizeBytes }) => [
    host,
    environment,
    service,
    releases.join(', '),
    formatDigest(digest),
    formatBytes(sizeBytes),
    free
  ])
}

const describeRoom = ({ diskFreeBytes, diskTotalBytes }: HostImages): string =>
  diskFreeBytes === null || diskTotalBytes === null
    ? '-'
    : `${formatBytes(diskFreeBytes)} of ${formatBytes(diskTotalBytes)}`
