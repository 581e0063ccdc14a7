/**
 * A picture as this page shows every picture: above it the finding, a sentence computed from the data; below it the
 * numbers as a table, for those who cannot see the picture or want to copy them.
 */
import type { ComponentChildren } from 'preact';
import { useId, useRef, useState } from 'preact/hooks';
import { number } from './numbers.ts';
import { isComputing } from './paced.ts';

/** Rows of a table that are drawn unless all are asked for. */
const ROWS = 200;

interface FigureTable {
  /** Heads of the columns, with units: `Cache (MB)`. The first column names the row. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface FigureProps {
  /** What the picture is of, in a few words. */
  readonly title: string;
  /** What it shows, in a sentence computed from the data; while there is none, what to do to get some. */
  readonly finding: ComponentChildren;
  /** The numbers behind it. Called when the table is opened, and again when nothing computes: it may be long. */
  readonly table: () => FigureTable;
  readonly children: ComponentChildren;
}

export function Figure({ title, finding, table, children }: FigureProps) {
  const id = useId();
  const [open, setOpen] = useState(false);
  const shown = useRef<FigureTable | null>(null);
  const isKept = isComputing.value && shown.current !== null;
  if (!open) shown.current = null;
  else if (!isKept) shown.current = table();
  return (
    <figure class="figure" aria-labelledby={id}>
      <figcaption>
        <h3 id={id}>{title}</h3>
        <p class="finding">{finding}</p>
      </figcaption>
      {children}
      <details class="table-behind" onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Numbers as a table</summary>
        {shown.current && <Table title={title} {...shown.current} />}
      </details>
    </figure>
  );
}

function Table({ title, columns, rows }: FigureTable & { title: string }) {
  const [all, setAll] = useState(false);
  const drawn = all ? rows : rows.slice(0, ROWS);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="table-scroll" tabIndex={0} aria-label={`Table: ${title}`}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {drawn.map((row, index) => (
            <tr key={index}>
              {row.map((value, column) =>
                column === 0 ? (
                  <th key={columns[0]} scope="row">
                    {value}
                  </th>
                ) : (
                  <td key={columns[column]}>{value}</td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {drawn.length < rows.length && (
        <button type="button" onClick={() => setAll(true)}>
          Show all {number(rows.length)} rows
        </button>
      )}
    </section>
  );
}
