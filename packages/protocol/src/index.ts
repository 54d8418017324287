// What both ends share. Pure: no sockets, files, clocks.
export * from './errors.ts'
export * from './ids.ts'
export * as limits from './limits.ts'
export * from './messages/index.ts'
export * from './spec/service-spec.ts'
