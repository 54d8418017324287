// What can be wrong with a service file, and where. Readers add problems to one list and go on, so that a
// person sees every mistake of a file at once; `readServiceFiles` throws the list at its end.

/** Code -> what it means. docs/service-file.md has a row per code; a test compares both. */
export const specProblems = {
  'file-too-large': 'the file exceeds the size limit',
  'too-complex': 'the file is nested too deeply, or its aliases expand to too much',
  'yaml-invalid': 'the text is not valid YAML',
  'interpolation-invalid': 'a `$` is not followed by a variable, a braced expression or another `$`',
  'variable-required': 'a variable that the file demands with `?` is not set',
  'unknown-key': 'no such key is supported here',
  'not-supported': 'the key or value is known, but not supported',
  'wrong-type': 'the value has another type than the key demands',
  'invalid-value': 'the value cannot be used for this key',
  'missing-key': 'a key that is required here is missing',
  conflict: 'two keys contradict each other',
  'relative-path': 'a host path is relative, or starts at a home folder',
  'env-file-unreadable': 'an env_file cannot be read',
  'no-services': 'the files define no service'
} as const satisfies Record<string, string>

export type SpecProblemCode = keyof typeof specProblems

/** Where something stands in a file as written. Lines and columns count from 1. */
export type Place = { readonly file: string; readonly line: number; readonly column: number }

export type SpecProblem = Place & {
  readonly code: SpecProblemCode
  /** Keys from the root: `services.api.ports[0]`. Empty for the file as a whole. */
  readonly path: string
  /** For people; never holds values of variables. */
  readonly message: string
  /** The supported key that is closest to an unknown one. */
  readonly nearest?: string
}

/** More are not collected: the first mistakes explain the rest. */
const maxProblems = 100

const place = (problem: SpecProblem): string =>
  `${problem.file}:${String(problem.line)}:${String(problem.column)}`

/** One line for people: place, path, message, and what may have been meant. */
export const describeProblem = (problem: SpecProblem): string => {
  const path = problem.path === '' ? '' : ` ${problem.path}:`
  const nearest = problem.nearest === undefined ? '' : ` (did you mean ${problem.nearest}?)`
  return `${place(problem)}:${path} ${problem.message}${nearest}`
}

/** Thrown by `readServiceFiles`, for nothing else and with nothing else. Exit code 2 of the CLI. */
export class SpecError extends Error {
  override readonly name = 'SpecError'
  /** In the order of the files, then of the lines. */
  readonly problems: readonly SpecProblem[]

  constructor(problems: readonly SpecProblem[]) {
    super(problems.map(describeProblem).join('\n'))
    this.problems = problems
  }
}

/** Collects what is wrong while reading. */
export class Problems {
  readonly #list: SpecProblem[] = []
  readonly #seen = new Set<string>()

  get isEmpty(): boolean {
    return this.#list.length === 0
  }

  /** The same mistake at the same place, reached twice through an alias, counts once. */
  add(code: SpecProblemCode, at: Place, path: string, message: string, nearest?: string): void {
    const problem: SpecProblem = {
      code,
      file: at.file,
      line: at.line,
      column: at.column,
      path,
      message,
      ...(nearest === undefined ? {} : { nearest })
    }
    const identity = `${place(problem)} ${message}`
    if (this.#seen.has(identity) || this.#list.length >= maxProblems) return
    this.#seen.add(identity)
    this.#list.push(problem)
  }

  addAll(others: Problems): void {
    for (const one of others.#list) this.add(one.code, one, one.path, one.message, one.nearest)
  }

  /** @param files names in the order in which they were given */
  sorted(files: readonly string[]): SpecProblem[] {
    const byPlace = (a: SpecProblem, b: SpecProblem): number =>
      files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column
    return [...this.#list].sort(byPlace)
  }
}
