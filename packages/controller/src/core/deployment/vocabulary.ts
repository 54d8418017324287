// Which modes, phases, outcomes and target states exist. The machine, the store's columns and the API bodies all
// take them from here; docs/deployments.md explains each.

export const modes = [
  /** one or several services of an environment, all or nothing */
  'deploy',
  /** one host's one service to the current release, started by the controller itself */
  'converge',
  /** everything up to the switch for real on every host, then removed */
  'rehearse',
  /** only looked at: what would run */
  'plan',
  /** the service leaves every host */
  'remove',
  /** the agents of an environment become another version of themselves */
  'upgrade'
] as const
export type Mode = (typeof modes)[number]

export const phases = [
  'requested',
  'planning',
  'staging',
  'preparing',
  'rehearsing',
  'rolling',
  'paused',
  'reverting',
  'ended'
] as const
export type Phase = (typeof phases)[number]

/** How a deployment ended; what it did is on the hosts. */
export const outcomes = ['succeeded', 'reverted', 'mixed', 'refused', 'cancelled'] as const
export type Outcome = (typeof outcomes)[number]

export const targetStates = [
  /** nothing asked yet */
  'pending',
  'planning',
  /** mode plan: said what it would do */
  'planned',
  'staging',
  'ready',
  'not-ready',
  'rehearsing',
  /** mode rehearse: the new release became healthy beside the old one, and was removed again */
  'rehearsed',
  'releasing',
  /** runs the new release, healthy for `monitor` */
  'released',
  'removing',
  /** mode remove: the service is gone from the host */
  'removed',
  'reverting',
  /** had switched and is back on the previous release (or, after a failed first release, runs none) */
  'reverted',
  /** could not switch and undid it itself, or could not go back: `serving` says what answers there */
  'failed',
  /** nobody knows what runs there now */
  'unknown',
  /** stayed on the previous release: its turn never came */
  'untouched',
  /** offline, and `--offline skip`: not a target */
  'skipped'
] as const
export type TargetState = (typeof targetStates)[number]

/** With `cache: true`: how far the controller is with fetching the image for its hosts. */
export const cacheStates = ['wanted', 'fetching', 'fetched', 'failed'] as const
export type CacheState = (typeof cacheStates)[number]
