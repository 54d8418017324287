// What both ends share. Pure: no sockets, files, clocks; randomness only in making keys.
export * from './errors.ts'
export * from './ids.ts'
export * from './jws.ts'
export * from './keys.ts'
export * as limits from './limits.ts'
export * from './messages/index.ts'
export * from './spec/service-spec.ts'
export * from './tokens/index.ts'
