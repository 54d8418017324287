// How an option that does not exist is told: by its name. Its value may be a password, of somebody who thought that there
// is an option for it, and a pipeline's log keeps what is written.

/** @param text of commander about a wrong use */
export const nameOption = (text: string): string =>
  text.replace(/(unknown option '--[^=']*)=.*'/s, "$1'").replace(/(unknown option '-[^-'])[^'].*'/s, "$1'")
