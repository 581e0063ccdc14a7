/** Reproducible numbers in [low, high), exact in F32. */
export function randomValues(count: number, seed: number, low = -1, high = 1): number[] {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.fround(low + (((t ^ (t >>> 14)) >>> 0) / 4294967296) * (high - low));
  });
}
