// How many columns of a terminal does a text take? Names of people and reasons are in any script. Pure.

const isNarrow = /^[\x20-\x7e]*$/
/** Unicode Standard Annex 11: wide and fullwidth, by blocks; emoji that are drawn as such. */
const wide =
  /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]/u
/** Drawn over what stands before it. */
const mark = /\p{M}/u

const columnsOf = (character: string): number => {
  if (mark.test(character)) return 0
  return wide.test(character) ? 2 : 1
}

/** @param text without control characters */
export const widthOf = (text: string): number =>
  isNarrow.test(text) ? text.length : Array.from(text, columnsOf).reduce((sum, columns) => sum + columns, 0)

/** As much of its beginning as fits. */
export const takeColumns = (text: string, columns: number): string => {
  if (isNarrow.test(text)) return text.slice(0, columns)
  let room = columns
  let taken = ''
  for (const character of text) {
    room -= columnsOf(character)
    if (room < 0) break
    taken += character
  }
  return taken
}

export const padColumns = (text: string, columns: number): string =>
  text + ' '.repeat(Math.max(0, columns - widthOf(text)))
