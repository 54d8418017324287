// Opens the controller's store.
import type { Store } from '../../ports.ts'

/** @param options.path the database file, or `:memory:` */
export const openStore = async (_options: { path: string }): Promise<Store> => {
  throw new Error('openStore is being built')
}
