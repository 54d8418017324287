// What is said of an agent whose version differs from the controller's. Pure.
import type { AgentView } from '../api/schemas.ts'

type Skew = Exclude<NonNullable<AgentView['versionSkew']>, 'none'>

export const describeSkew = (skew: Skew): string => {
  switch (skew) {
    case 'older':
      return 'older than the controller, bring it up with: longshore agents upgrade'
    case 'newer':
      return 'newer than the controller, upgrade that first'
    case 'unsupported':
      return 'more than one minor version from the controller, which is not supported'
    default:
      return skew satisfies never
  }
}
