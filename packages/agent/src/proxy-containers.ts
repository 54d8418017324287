// What HAProxy as a container needs of the Docker Engine, as a type: the adapter of HAProxy asks, the one of Docker
// answers, and main.ts puts them together.

/** Label of HAProxy's containers: the folder on the host. Two agents on one engine keep to their own. */
export const proxyLabel = 'longshore.proxy'

export type ProxyContainer = {
  id: string
  isRunning: boolean
  imageId: string
  labels: Record<string, string>
}

export type ProxyContainerRequest = {
  name: string
  image: string
  arguments: string[]
  labels: Record<string, string>
  /** Folder on the host, and where the container sees it. */
  mount: { source: string; target: string }
  isRestarted: boolean
}

/** Every call rejects with EngineError. */
export type ProxyContainers = {
  /** All with the label, latest first, stopped ones too. */
  list(label: string, value: string): Promise<ProxyContainer[]>
  /** Pulls the image where it is missing. @returns its id */
  fetchImage(reference: string): Promise<string>
  create(request: ProxyContainerRequest): Promise<string>
  start(id: string): Promise<void>
  /** Of one that runs. */
  signal(id: string, name: 'SIGUSR1' | 'SIGUSR2'): Promise<void>
  /** The engine does not start it again when it ends. */
  leaveEnded(id: string): Promise<void>
  /** Waits for the end. */
  wait(id: string): Promise<{ exitCode: number; output: string }>
  remove(id: string): Promise<void>
}
