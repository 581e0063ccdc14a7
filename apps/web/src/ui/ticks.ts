/** Numbers for axes. */

/** Round numbers (1, 2 or 5 times a power of ten apart) within an interval, at most `most` of them but two if they fit. */
export function ticksBetween(from: number, to: number, most: number): number[] {
  if (!(to > from)) return [from];
  const least = (to - from) / Math.max(1, Math.floor(most) - 1);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9)) ?? 10);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => round((first + index) * step, step));
}

/** Sums of tenths are not what they seem. */
function round(value: number, step: number): number {
  const digits = Math.max(0, Math.ceil(-Math.log10(step)));
  return Number(value.toFixed(Math.min(20, digits)));
}
