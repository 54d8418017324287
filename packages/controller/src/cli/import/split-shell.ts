// A command line as it stands in a script -> its words, by the rules of the POSIX shell (2.2, quoting). Nothing is run
// or expanded: variables stay, in the form that a service file has for them, and what only a shell can work out is an
// error. What the words mean is left to read-docker-run.ts.
import { CliError } from '../cli-errors.ts'
import { dollarsKept } from './value-text.ts'

/** Inside double quotes a backslash is special only before these (2.2.3); before a line's end it joins the lines. */
const escapable = new Set(['"', '\\', '$', '`'])
const operators = new Set([';', '&', '|', '<', '>', '(', ')'])

/** `NAME`, and the forms of `${...}` that Compose has too, with nothing in them that a shell would look into. */
const plainName = /^[A-Za-z_][A-Za-z0-9_]*/
const bracedName = /^\{([A-Za-z_][A-Za-z0-9_]*(?::?[-?+][^"'\\`${}]*)?)\}/

/**
 * @returns the words of the one command in the text; in them `$$` is a dollar sign, `${NAME}` a variable
 * @throws CliError usage
 */
export const splitShell = (text: string): string[] => {
  const reader = new Reader(text.replaceAll('\r\n', '\n'))
  while (!reader.isAtEnd) reader.next()
  return reader.end()
}

class Reader {
  readonly #text: string
  #position = 0
  /** Where the construct begins that is read now. */
  #begin = 0
  #quote: '"' | "'" | undefined
  #word: string | undefined
  #words: string[] = []
  /** Once a line without continuation has ended the command. */
  #isOver = false

  constructor(text: string) {
    this.#text = text
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#text.length
  }

  /** Reads one character, or one construct that begins with it. */
  next(): void {
    const char = this.#text[this.#position] ?? ''
    this.#begin = this.#position
    if (this.#quote === "'") this.#singleQuoted(char)
    else if (char === '\\') this.#escaped()
    else if (char === '$') this.#dollar()
    else if (char === '`') throw refuse(`\`...\` is run by the shell`)
    else if (this.#quote === '"') this.#doubleQuoted(char)
    else this.#unquoted(char)
  }

  /** @throws CliError usage */
  end(): string[] {
    if (this.#quote !== undefined) throw refuse(`a quote (${this.#quote}) is not closed`)
    this.#endWord()
    return this.#words
  }

  #add(text: string): void {
    if (this.#isOver && this.#word === undefined) throw refuse(moreThanOne(this.#text, this.#begin))
    this.#word = (this.#word ?? '') + text
  }

  #endWord(): void {
    if (this.#word !== undefined) this.#words.push(this.#word)
    this.#word = undefined
  }

  #singleQuoted(char: string): void {
    this.#position += 1
    if (char === "'") this.#quote = undefined
    else this.#add(dollarsKept(char))
  }

  #doubleQuoted(char: string): void {
    this.#position += 1
    if (char === '"') this.#quote = undefined
    else this.#add(char)
  }

  #unquoted(char: string): void {
    const isStart = this.#word === undefined
    if (operators.has(char)) throw refuse(`${char} is for the shell, not for docker run`)
    if (char === '#' && isStart) {
      const end = this.#text.indexOf('\n', this.#position)
      this.#position = end < 0 ? this.#text.length : end
      return
    }
    this.#position += 1
    if (char === '"' || char === "'") {
      this.#quote = char
      this.#add('')
    } else if (char === '\n') {
      this.#endWord()
      this.#isOver = this.#words.length > 0
    } else if (char === ' ' || char === '\t') this.#endWord()
    else if (char === '~' && isStart && /^(?:[\s/]|$)/.test(this.#text.slice(this.#position)))
      this.#add(`\${HOME}`)
    else this.#add(char)
  }

  #escaped(): void {
    const next = this.#text[this.#position + 1]
    if (next === '\n') {
      this.#position += 2
      return
    }
    if (this.#quote === undefined) {
      if (next === undefined) throw refuse('a backslash at the end continues on a line that is not there')
      if (/^[ \t]+\n/.test(this.#text.slice(this.#position + 1)))
        throw refuse(
          'a blank after the backslash at the end of a line: the next line would be another command'
        )
    }
    const isSpecial = this.#quote === undefined || (next !== undefined && escapable.has(next))
    this.#add(isSpecial ? dollarsKept(next ?? '') : '\\')
    this.#position += isSpecial ? 2 : 1
  }

  #dollar(): void {
    const rest = this.#text.slice(this.#position + 1)
    const name = plainName.exec(rest)?.[0]
    const braced = bracedName.exec(rest)
    if (name !== undefined) {
      this.#add(`\${${name}}`)
      this.#position += 1 + name.length
    } else if (braced !== null) {
      this.#add(`\${${braced[1] ?? ''}}`)
      this.#position += 1 + braced[0].length
    } else if (rest.startsWith('(')) throw refuse('$(...) is run by the shell')
    else if (rest.startsWith('{')) throw refuse(`\${...} with more in it than a name and a plain text`)
    else if (/^[0-9$@*#?!-]/.test(rest)) throw refuse(`$${rest[0] ?? ''} is known to the shell only`)
    else if (this.#quote === undefined && /^["']/.test(rest))
      throw refuse(`$${rest[0] ?? ''}...${rest[0] ?? ''} is no quoting of a POSIX shell`)
    else {
      this.#add('$$')
      this.#position += 1
    }
  }
}

const moreThanOne = (text: string, position: number): string => {
  const line = text.slice(position).split('\n')[0] ?? ''
  return `after docker run another command begins: ${line.slice(0, 40)}`
}

const refuse = (what: string): CliError =>
  new CliError('usage', `cannot read the command line: ${what}`, [
    'give one docker run command, with the values that it has on the host in their places'
  ])
