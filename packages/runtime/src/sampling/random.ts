/** A small seeded random number generator, so that a sampled text can be had again. */

/** Uniform numbers in [0, 1). Its state can be copied, so that a fork of a session draws the same numbers. */
export interface Random {
  next(): number;
  clone(): Random;
}

/**
 * A generator from a seed: splitmix32 (G. Steele et al., "Fast splittable pseudorandom number generators", 2014, in
 * 32 bits). Equal seeds give equal numbers on every platform.
 *
 * @param seed - Any number; its low 32 bits count.
 */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  return {
    next() {
      state = (state + 0x9e3779b9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
    },
    clone: () => seededRandom(state),
  };
}
