// A state as a word with a colour; the word alone says it too.
import { toneOf } from '../core/tone.ts'

export const Badge = ({ state, of }: { state: string; of?: string }) => (
  <span class={`badge ${toneOf(of ?? state)}`}>{state}</span>
)
