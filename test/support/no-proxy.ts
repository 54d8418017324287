// A host without HAProxy, whose controller keeps no images: whoever asks for more than that is told that the test did not
// prepare it.
import type {
  ArtifactDoor,
  ContainerEvents,
  Proxy as ProxyPort,
  Runtime
} from '../../packages/agent/src/ports.ts'

/** Throws on every call that the test did not prepare. */
export const preparedProxy = (calls: Partial<ProxyPort> = {}): ProxyPort => {
  const prepared = { routes: () => [], onChange: () => () => undefined, ...calls }
  return new Proxy(prepared as unknown as ProxyPort, {
    get: (target, name) => {
      const call: unknown = Reflect.get(target, name)
      if (call === undefined) throw new Error(`the test did not prepare ${String(name)} of the proxy`)
      return call
    }
  })
}

/** Nothing happens to any container. */
export const noEvents: ContainerEvents = { onEvent: () => () => undefined }

export const noArtifacts: ArtifactDoor = {
  open: async () => {
    throw new Error('the test did not prepare images of the controller')
  },
  isOwnName: () => false
}

/** Nothing came with the command. */
export const noLogins: Runtime['logins'] = {
  find: async () => ({ login: undefined, problem: null }),
  arrival: async () => false
}

/** What runs need beside the engine on a host without HAProxy. */
export const withoutProxy = {
  proxy: preparedProxy(),
  events: noEvents,
  ownSubnets: [] as string[],
  artifacts: noArtifacts,
  openLogin: async () => {
    throw new Error('the test did not prepare credentials')
  }
}
