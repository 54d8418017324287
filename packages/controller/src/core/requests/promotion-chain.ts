// Environments that take their images from each other, in a ring, could get none from anywhere.
type Source = { name: string; promotesFrom: string | null }

/** True when `name` would, over any number of others, take its images from itself. */
export const isRing = (environments: readonly Source[], name: string, from: string): boolean => {
  const sourceOf = (one: string): string | null =>
    environments.find((environment) => environment.name === one)?.promotesFrom ?? null
  const seen = new Set<string>()
  for (let next: string | null = from; next !== null && !seen.has(next); next = sourceOf(next)) {
    if (next === name) return true
    seen.add(next)
  }
  return false
}
