// What the log route is asked, and the events that it answers with. `at` is the controller's time, RFC 3339; `time` is
// that of the line, by the host's clock.
import { environmentName, hostName, limits, serviceName } from '@longshore/protocol'
import * as z from 'zod'

const number = z.coerce.number().int().min(0)
/** Query strings know only texts. */
const flag = z.enum(['true', 'false']).transform((text) => text === 'true')

export const logQuery = z.strictObject({
  environment: environmentName,
  service: serviceName,
  /** Names separated by commas; without it, every host of the service. */
  host: z
    .string()
    .max(16_384)
    .transform((text) => text.split(',').filter((name) => name !== ''))
    // an empty list is not every host
    .refine((names) => names.length > 0, 'names no host')
    .optional(),
  follow: flag.default(false),
  /** Milliseconds since the epoch by the controller's clock; without it, from the first line that is kept. */
  sinceMs: number.optional(),
  tail: number.max(limits.maxLogTailLines).optional(),
  grep: z.string().min(1).max(limits.maxLogGrepChars).optional()
})
export type LogQuery = z.infer<typeof logQuery>

export const logHostStates = [
  /** Its log is being read, from now on or again. */
  'reading',
  'not-connected',
  /** Its session has ended; nothing is known of what is written there meanwhile. */
  'lost',
  /** Its agent does not know of logs. */
  'too-old',
  /** Its policy does not allow it. */
  'refused',
  /** The agent could not do it, or did what it must not. */
  'failed',
  /** Everything that was asked for has come. */
  'complete'
] as const
const stamped = { at: z.string() }
const ofHost = { ...stamped, host: hostName }
const ofContainer = { ...ofHost, container: z.string() }
export const logEvent = z.discriminatedUnion('type', [
  z.object({
    ...ofHost,
    type: z.literal('host'),
    state: z.enum(logHostStates),
    /** One sentence, or ''. */
    detail: z.string()
  }),
  z.object({
    ...ofContainer,
    type: z.literal('container'),
    /** `unreadable`: its lines cannot be had, `detail` says why. */
    state: z.enum(['begun', 'ended', 'unreadable']),
    name: z.string().nullable(),
    release: z.int().nullable(),
    /** Replica, from 0. */
    index: z.int().nullable(),
    detail: z.string()
  }),
  z.object({
    ...ofContainer,
    type: z.literal('line'),
    index: z.int().nullable(),
    from: z.enum(['stdout', 'stderr', 'tty']),
    time: z.string().nullable(),
    /** As it was written, control characters included. */
    text: z.string(),
    isCut: z.boolean()
  }),
  /** null: so many that they were not counted. */
  z.object({ ...ofContainer, type: z.literal('left-out'), lines: z.int().nullable() }),
  /** Nothing more comes from any host. */
  z.object({ ...stamped, type: z.literal('end') })
])
export type LogEvent = z.infer<typeof logEvent>
export type LogHostState = (typeof logHostStates)[number]
