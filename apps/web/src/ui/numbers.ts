/** Numbers as people read them: three significant digits, units spelled, and no digit that means nothing. */

const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P'];
const BINARY = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const DECIMAL_BYTES = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Three significant digits at least, and whole numbers whole: 0.0123, 1.23, 12.3, 123, 1,234. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'not a number' : value < 0 ? '−∞' : '∞';
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return minus(Math.round(value).toLocaleString('en-US'));
  if (Math.abs(value) < 1e-4) return minus(value.toExponential(2));
  return minus(value.toPrecision(3));
}

/** A share as a percentage: 0.3142 is `31.4 %`. */
export function percent(share: number): string {
  const value = 100 * share;
  if (!Number.isFinite(value)) return 'not a number';
  if (value === 0) return '0 %';
  if (Math.abs(value) < 0.001) return '< 0.001 %';
  return `${minus(value >= 99.95 ? value.toFixed(0) : value.toPrecision(value < 0.1 ? 2 : 3))} %`.replace('.00 ', ' ');
}

/** Bytes in decimal units, as files and links are measured: `70.3 kB`. */
export function bytes(value: number): string {
  return scaled(value, 1000, DECIMAL_BYTES);
}

/** Bytes in binary units, as memory is measured: `68.6 KiB`. */
export function memory(value: number): string {
  return scaled(value, 1024, BINARY);
}

/** A count with its prefix: 671e9 is `671 G`; counts below a thousand are written out. */
export function count(value: number): string {
  return scaled(value, 1000, DECIMAL).trimEnd();
}

/** Seconds as a person would say them: `0.42 s`, `12.3 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${number(Number(seconds.toPrecision(3)))} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** `71.1 times`, for a comparison. */
export function times(value: number): string {
  return `${number(value)} times`;
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let scale = 0;
  let rest = Math.abs(value);
  // 999.7 would be written as 1000 of the smaller unit.
  while (scale < units.length - 1 && rest >= base - 0.5) {
    rest /= base;
    scale++;
  }
  const sign = value < 0 ? '−' : '';
  const digits =
    scale === 0 ? String(Math.round(rest)) : rest >= 1000 ? Math.round(rest).toString() : rest.toPrecision(3);
  return `${sign}${digits} ${units[scale]!}`;
}

/** A true minus sign is as wide as a digit. */
function minus(text: string): string {
  return text.replace(/^-/, '−');
}
