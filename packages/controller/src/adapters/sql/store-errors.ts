// What can be wrong with the store as a whole. One row lost to another is StoreConflict (ports.ts).

/** Code -> what it means, for people. */
export const storeErrors = {
  'database-in-use': 'another controller process holds the database',
  'database-newer': 'the database was written by a newer version of Longshore',
  'database-unusable': 'the database cannot be opened',
  'value-refused': 'a value of a kind that the store does not keep'
} as const satisfies Record<string, string>
export type StoreErrorCode = keyof typeof storeErrors

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: StoreErrorCode

  constructor(code: StoreErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.code = code
  }
}
