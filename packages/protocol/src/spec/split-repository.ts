// Where a repository's registry ends and its path begins, as Docker decides it: a first part with a dot, a colon
// or the name localhost is a registry; everything else lies on Docker Hub.

/** @returns the registry as it is written, or null when none is; whether either part is well formed is not said */
export const splitRepository = (repository: string): { registry: string | null; path: string } => {
  const slash = repository.indexOf('/')
  const first = slash < 0 ? '' : repository.slice(0, slash)
  return /[.:]/.test(first) || first === 'localhost'
    ? { registry: first, path: repository.slice(slash + 1) }
    : { registry: null, path: repository }
}
