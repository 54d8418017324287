// JSON from outside, where it may be anything: the schema that follows refuses what is none.

/** @returns undefined, which no schema of the agent accepts, when the text is not JSON */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
