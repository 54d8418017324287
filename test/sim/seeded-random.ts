// Every choice of the simulation, drawn from one seed: the same seed gives the same run. The generator is
// SplitMix64 (Steele, Lea, Flood 2014) cut to 32 bits of output.

export type SeededRandom = {
  /** 0 <= x < 1 */
  fraction(): number
  /** low <= x <= high */
  integer(low: number, high: number): number
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
  bytes(count: number): Uint8Array
}

export const createSeededRandom = (seed: number): SeededRandom => {
  let state = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n)
  const next32 = (): number => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n)
    let mixed = state
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n)
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn)
    return Number((mixed ^ (mixed >> 31n)) >> 32n)
  }
  const fraction = (): number => next32() / 2 ** 32
  const integer = (low: number, high: number): number => low + Math.floor(fraction() * (high - low + 1))
  return {
    fraction,
    integer,
    chance: (probability) => fraction() < probability,
    pick: (from) => {
      const chosen = from[integer(0, from.length - 1)]
      if (chosen === undefined) throw new RangeError('nothing to pick from')
      return chosen
    },
    bytes: (count) => Uint8Array.from({ length: count }, () => next32() & 0xff)
  }
}
