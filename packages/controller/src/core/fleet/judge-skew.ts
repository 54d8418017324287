// How far is an agent's version from the controller's? One minor apart they work together; beyond that nobody has
// tried. The controller is upgraded first, so that agents are the older ones.

/** Stands in package.json too; a test compares. */
export const controllerVersion = '0.1.0'

export const versionSkews = ['none', 'older', 'newer', 'unsupported'] as const
export type VersionSkew = (typeof versionSkews)[number]

/** @returns `none` for another patch of the same minor; `unsupported` for more than one minor apart, and for what is no version */
export const judgeSkew = (agent: string, controller: string = controllerVersion): VersionSkew => {
  const [own, other] = [parse(controller), parse(agent)]
  if (own === null || other === null || own.major !== other.major) return 'unsupported'
  switch (other.minor - own.minor) {
    case 0:
      return 'none'
    case 1:
      return 'newer'
    case -1:
      return 'older'
    default:
      return 'unsupported'
  }
}

const parse = (version: string): { major: number; minor: number } | null => {
  const match = /^(\d{1,6})\.(\d{1,6})\.\d/.exec(version)
  return match === null ? null : { major: Number(match[1]), minor: Number(match[2]) }
}
