// What makes two requests the same one? Everything that decides what is done to which host; neither who asks nor
// the reason given.
import type { DeployRequest } from '../../api/schemas.ts'
import { wishesOf } from './wishes.ts'

/** Equal texts: the same request. */
export const requestText = (request: DeployRequest): string => {
  const { mode, recreate, offline, replace, upgrade } = request
  const wishes = wishesOf(request).map(wishText)
  return JSON.stringify({ mode, recreate, offline, replace, wishes, ...(upgrade && { upgrade }) })
}

/** Members in an order of their own, whatever the client's was. */
const wishText = ({ service, what }: ReturnType<typeof wishesOf>[number]): [string, [string, unknown][]] => [
  service,
  Object.entries(what).sort(([a], [b]) => (a < b ? -1 : 1))
]
