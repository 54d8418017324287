// Where a repository's registry ends and its path begins, as Docker decides it: a first part with a dot, a colon
// or the name localhost is a registry; everything else lies on Docker Hub.

const host = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/
const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/

/** HOST[:PORT], as the grammar of references has it. */
export const isRegistryHost = (text: string): boolean => host.test(text)
/** Every part between slashes as the grammar of references has it. */
export const isRepositoryPath = (path: string): boolean =>
  path.split('/').every((part) => component.test(part))

/** @returns the registry as it is written, or null when none is; whether either part is well formed is not said */
export const splitRepository = (repository: string): { registry: string | null; path: string } => {
  const slash = repository.indexOf('/')
  const first = slash < 0 ? '' : repository.slice(0, slash)
  return /[.:]/.test(first) || first === 'localhost'
    ? { registry: first, path: repository.slice(slash + 1) }
    : { registry: null, path: repository }
}
