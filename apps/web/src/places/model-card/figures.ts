/** Numbers as the page writes them: three significant digits, SI units spelled as symbols, the exact value where asked. */

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
  ['K', 1e3],
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

/** Bytes in decimal units, as disks and accelerators are sold: 70272 as 70.3 KB. */
export function bytes(value: number): string {
  return withUnit(value, 'B');
}

/** Floating-point operations: 2.6e11 as 261 GFLOP. */
export function flop(value: number): string {
  return withUnit(value, 'FLOP');
}

function withUnit(value: number, unit: string): string {
  const text = scaled(value, SI);
  return text.includes(' ') ? `${text}${unit}` : `${text} ${unit}`;
}

/** A share of one in per cent: 0.0546 as 5.46 %. */
export function percent(share: number): string {
  if (share === 0 || share === 1) return `${100 * share} %`;
  const text = digits(100 * share);
  // Rounding must not make a whole of what is not one.
  return share < 1 && text === '100' ? '> 99.9 %' : `${text} %`;
}

/** How often `small` goes into `large`: 71.1 times. */
export function times(large: number, small: number): string {
  return `${digits(large / small)} times`;
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
