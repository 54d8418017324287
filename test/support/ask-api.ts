// The controller's API as a test asks it: an answer that is no success fails the test with what it said.
export type AskApi = <T>(method: string, path: string, body?: object, as?: string) => Promise<T>

/** @param token of whoever asks, unless a question names another one */
export const askApi =
  ({ url, token }: { url: string; token: string }): AskApi =>
  async <T>(method: string, path: string, body?: object, as = token): Promise<T> => {
    const answer = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${as}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) })
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${text}`)
    return JSON.parse(text === '' ? 'null' : text) as T
  }
