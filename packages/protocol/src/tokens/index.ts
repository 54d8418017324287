// Every signed token, a file each.
export * from './api.ts'
export * from './assertion.ts'
export * from './enrol.ts'
export * from './join.ts'
export * from './key.ts'
export * from './leave.ts'
export * from './pull-token.ts'
export * from './time.ts'
