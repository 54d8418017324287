// Is a state good, bad or under way? The word stands beside the colour always.

export type Tone = 'good' | 'bad' | 'busy' | 'plain'

const tones: Record<Exclude<Tone, 'plain'>, readonly string[]> = {
  good: ['connected', 'running', 'succeeded', 'released', 'ready', 'healthy', 'new', 'done', 'rehearsed'],
  bad: [
    'silent',
    'not-connected',
    'lost',
    'too-old',
    'failed',
    'mixed',
    'unhealthy',
    'missing',
    'restarting',
    'unknown',
    'refused',
    'not-ready',
    'dead',
    'exited',
    'stopped'
  ],
  busy: [
    'held',
    'never seen',
    'requested',
    'planning',
    'staging',
    'preparing',
    'rehearsing',
    'rolling',
    'paused',
    'reverting',
    'reverted',
    'releasing',
    'removing',
    'starting',
    'cancelled'
  ]
}

export const toneOf = (state: string): Tone => {
  for (const tone of ['good', 'bad', 'busy'] as const) if (tones[tone].includes(state)) return tone
  return 'plain'
}
