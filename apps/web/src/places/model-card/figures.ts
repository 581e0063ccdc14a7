/**
 * Numbers of a model card beyond those of the whole page: parameters and tokens as the field counts them (671 B), and
 * operations and hours, with three significant digits.
 */

const EXACT = new Intl.NumberFormat('en-US');

const PREFIXES = [
  ['T', 1e12],
  ['B', 1e9],
  ['M', 1e6],
  ['K', 1e3],
] as const;

/** Units of operations and the like go on where counts of things have stopped. */
const SI = [
  ['Y', 1e24],
  ['Z', 1e21],
  ['E', 1e18],
  ['P', 1e15],
  ['T', 1e12],
  ['G', 1e9],
  ['M', 1e6],
  ['k', 1e3],
] as const;

/** 1234567 as 1,234,567. */
export function exact(value: number): string {
  return EXACT.format(value);
}

/** Three significant digits, without exponent: 0.0546, 71.1, 671, 12,300. */
export function digits(value: number, count = 3): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return new Intl.NumberFormat('en-US', { maximumSignificantDigits: count, minimumSignificantDigits: count }).format(
    value,
  );
}

/** A number of things: 671026419200 as 671 B; below a thousand as it is. */
export function count(value: number): string {
  return scaled(value, PREFIXES);
}

/** Floating-point operations: 2.6e11 as 261 GFLOP. */
export function flop(value: number): string {
  const text = scaled(value, SI);
  return text.includes(' ') ? `${text}FLOP` : `${text} FLOP`;
}

/** Hours of accelerators: 2664000 as 2.66 M, with an hour's fractions where there are few. */
export function hours(value: number): string {
  return value < 1000 ? digits(value) : count(value);
}

function scaled(value: number, prefixes: readonly (readonly [string, number])[]): string {
  for (const [i, [prefix, size]] of prefixes.entries()) {
    if (value < size) continue;
    const text = digits(value / size);
    // 999,999 is 1.00 M and not 1,000 K.
    const above = prefixes[i - 1];
    if (text === '1,000' && above) return `${digits(value / above[1])} ${above[0]}`;
    return `${text} ${prefix}`;
  }
  if (Number.isInteger(value)) return String(value);
  return digits(value);
}
