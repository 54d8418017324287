// What a container wrote, as it may be shown: it cannot paint, reorder or hide. Colours and commands to a terminal are
// left out as a whole, other control characters are blanks.

/** ECMA-48, control sequences: they carry no text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const sequences = /\x1b\[[0-?]*[ -/]*[@-~]/g
const isTame = /^[\x20-\x7e\t]*$/
/** Controls, format characters that reorder or hide text, ends of lines; a tab stays. */
const unprintable = /(?!\t)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

export const cleanLine = (text: string): string =>
  isTame.test(text) ? text : text.replaceAll(sequences, '').replaceAll(unprintable, ' ')
