// The build that asked for a deployment: a link where it is an address.
import { buildAddress } from '../core/build-address.ts'

export const BuildName = ({ build }: { build: string }) => {
  const address = buildAddress(build)
  if (address === null) return <span>{build}</span>
  return (
    <a href={address} rel="noopener noreferrer" target="_blank">
      {build}
    </a>
  )
}
