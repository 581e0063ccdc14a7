/**
 * A picture as this page shows every picture: above it the finding, a sentence computed from the data; below it the
 * numbers as a table, for those who cannot see the picture or want to copy them.
 */
import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';

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
  /** The numbers behind it. Called only while the table is open. */
  readonly table: () => FigureTable;
  readonly children: ComponentChildren;
}

export function Figure({ title, finding, table, children }: FigureProps) {
  const id = useId();
  const [open, setOpen] = useState(false);
  return (
    <figure class="figure" aria-labelledby={id}>
      <figcaption>
        <h3 id={id}>{title}</h3>
        <p class="finding">{finding}</p>
      </figcaption>
      {children}
      <details class="table-behind" onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Numbers as a table</summary>
        {open && <Table title={title} {...table()} />}
      </details>
    </figure>
  );
}

function Table({ title, columns, rows }: FigureTable & { title: string }) {
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
          {rows.map((row, index) => (
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
    </section>
  );
}
