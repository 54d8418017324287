// Is a build an address that may be a link? Whoever deploys writes it: only http and https lead anywhere.

/** @returns null: it is a name */
export const buildAddress = (build: string): string | null => {
  if (!/^https?:\/\//i.test(build)) return null
  return URL.parse(build)?.href ?? null
}
