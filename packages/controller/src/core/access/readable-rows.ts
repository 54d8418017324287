// Which rows may a token read? As conditions on a row's environment and service, so that the store answers with them
// alone, however many others are newer.
import type { Permission } from '../../api/schemas.ts'
import { allowsReading, parsePermission } from './permissions.ts'

/** A row is readable when one of these fits; null: any name. None: no row is. */
export type RowScope = { environment: string | null; service: string | null }

export const readableRows = (allow: readonly Permission[]): RowScope[] => {
  const scopes = allow
    .map(parsePermission)
    .filter(({ verb }) => allowsReading(verb))
    .map(({ environment, service }) => ({ environment: nameOf(environment), service: nameOf(service) }))
  return scopes.filter((scope, index) => !scopes.some((other, at) => isWithin(scope, index, other, at)))
}

const nameOf = (name: string): string | null => (name === '*' ? null : name)

/** Everything that it lets pass, the other one does too; of two that are equal the first stays. */
const isWithin = (scope: RowScope, index: number, other: RowScope, at: number): boolean => {
  const covers = (wide: string | null, narrow: string | null): boolean => wide === null || wide === narrow
  const isCovered = covers(other.environment, scope.environment) && covers(other.service, scope.service)
  const isEqual = other.environment === scope.environment && other.service === scope.service
  return isCovered && (isEqual ? at < index : true)
}
