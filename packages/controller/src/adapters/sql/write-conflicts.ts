// A row that another one's key forbids is a StoreConflict.
import { StoreConflict } from '../../ports.ts'

/** Says whether a database error means that a unique key was taken; the dialect knows. */
export type ConflictTest = (error: unknown) => boolean

export const orConflict = async (
  isConflict: ConflictTest,
  insert: { execute(): Promise<unknown> },
  detail: string
): Promise<void> => {
  try {
    await insert.execute()
  } catch (error) {
    if (isConflict(error)) throw new StoreConflict(detail, { cause: error })
    throw error
  }
}
