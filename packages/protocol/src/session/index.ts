// Everything about one session, from the first frame to the decision when to come back.
export * from './agent-end.ts'
export type { FrameToSend } from './channel.ts'
export * from './controller-end.ts'
export * from './duplicates.ts'
export * from './end.ts'
export * from './frame-codec.ts'
export * from './rate.ts'
export * from './reconnect.ts'
