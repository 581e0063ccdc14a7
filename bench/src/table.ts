/** Tables in plain text that are Markdown too, so that what a terminal shows can go into a page as it is. */

/** Cells by row; the first row is the head. Columns are padded to equal width, all but the first to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(3, ...rows.map((row) => cell(row[column]).length)),
  );
  const line = (row: readonly string[]) =>
    `| ${widths.map((width, column) => pad(cell(row[column]), width, column)).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return rows.flatMap((row, index) => (index === 0 ? [line(row), rule] : [line(row)])).join('\n');
}

/** A number with three digits that count: 0.0123, 1.23, 12.3, 123, 12300. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const magnitude = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  return magnitude >= 2 ? String(Math.round(value)) : value.toFixed(Math.min(6, 2 - magnitude));
}

/** What a cell holds must not end it. */
function cell(text: string | undefined): string {
  return (text ?? '').replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function pad(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}
