/** Numbers and tables for people. */

const NUMBER = new Intl.NumberFormat('en-US');

/** 1234567 as 1,234,567. */
export function exact(value: number): string {
  return NUMBER.format(value);
}

/** 671026404352 as 671.03 B; below ten thousand as it is. */
export function short(value: number): string {
  if (value < 1e4) return exact(value);
  for (const [unit, size] of [
    ['T', 1e12],
    ['B', 1e9],
    ['M', 1e6],
  ] as const) {
    if (value >= size) return `${(value / size).toFixed(2)} ${unit}`;
  }
  return `${(value / 1e3).toFixed(1)} K`;
}

/** Bytes in decimal units, as disks are sold. */
export function bytes(value: number): string {
  if (value < 1e3) return `${value} B`;
  const units = ['KB', 'MB', 'GB', 'TB', 'PB'];
  const index = Math.min(units.length, Math.floor(Math.log10(value) / 3)) - 1;
  const scaled = value / 1000 ** (index + 1);
  return `${scaled.toFixed(scaled < 10 ? 2 : 1)} ${units[index]}`;
}

/** 0.0559 as 5.6%. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}

/** Milliseconds as people say them. */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Rows with their columns below each other: the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[], indent = '  '): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return rows.map((row) => {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
    );
    return (indent + cells.join('   ')).trimEnd();
  });
}

/** Rounded for JSON, where fifteen digits of a stopwatch say nothing. */
export function rounded(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}

/** Items a second, or null where there is nothing to measure. */
export function rate(items: number, ms: number): number | null {
  return items > 0 && ms > 0 ? rounded((1000 * items) / ms) : null;
}
