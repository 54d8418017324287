// One row, several, or none: what a query found, as the rows of the ports.
import type { Codec } from './tables.ts'

/** A list that the caller did not limit is limited here: nobody reads more at once. */
export const defaultLimit = 1000

/** A question that may be answered by one row, or by none. */
export const one = async <Row, Stored>(
  codec: Codec<Row, Stored>,
  query: { executeTakeFirst(): Promise<Stored | undefined> }
): Promise<Row | undefined> => {
  const stored = await query.executeTakeFirst()
  return stored === undefined ? undefined : codec.decode(stored)
}

export const many = async <Row, Stored>(
  codec: Codec<Row, Stored>,
  query: { execute(): Promise<Stored[]> }
): Promise<Row[]> => (await query.execute()).map(codec.decode)
