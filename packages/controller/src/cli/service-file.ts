// A service file as it was given to `apply`: the name that messages use, and its text.
export type ServiceFile = { name: string; text: string }

/** What standard input is called in messages. */
export const stdinName = '<stdin>'
