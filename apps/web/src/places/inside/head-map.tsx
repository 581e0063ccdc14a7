/** What one head takes: a row for each token whose attention is kept, a column for each token that it may look at. */
import type { ReadonlySignal } from '@preact/signals';
import { attentionAt, attentionKept } from '../../state/observed.ts';
import { moment, select } from '../../state/text.ts';
import { HeatMap } from '../../ui/heat-map.tsx';
import { usePaced } from '../../ui/paced.ts';
import type { TokenAttention } from '../../worker/model-api.ts';
import { columnsFor } from './experts-figure.tsx';
import { attentionRow } from './statistics.ts';

export interface HeadMapProps {
  readonly head: number;
  readonly layer: number;
  readonly height: number;
  readonly isWatched: ReadonlySignal<boolean>;
  readonly small?: boolean;
}

export function HeadMap({ head, layer, height, isWatched, small = false }: HeadMapProps) {
  const { tokens, shown } = usePaced(moment, isWatched);
  const { from } = attentionKept();
  const columns = columnsFor(tokens.length);
  const rows = columnsFor(tokens.length - from);
  const entries = Array.from({ length: tokens.length - from }, (_, index) => attentionAt(from + index));
  const marked = shown === null || shown.position < from ? null : shown.position - from;
  const amounts = (attention: TokenAttention, cells: Float32Array) => {
    const row = attentionRow(attention, head);
    // Weights get small as texts get long; their roots can still be told apart.
    for (let key = 0; key < row.length; key++) cells[key] = Math.sqrt(row[key]!);
  };
  const map = (
    <HeatMap
      entries={entries}
      along="rows"
      room={rows}
      cells={columns}
      most={small ? 128 : 512}
      amounts={amounts}
      of={[head]}
      height={height}
      label={small ? null : `Head ${head} of layer ${layer}: what each token (down) takes of those before it (across)`}
      markedRow={marked}
      {...(!small && {
        onPoint: (row: number) => {
          if (from + row < tokens.length) select(from + row);
        },
      })}
    />
  );
  if (small) return map;
  return (
    <div class="axes">
      <div class="axes-y" aria-hidden="true">
        <span>{from + 1}</span>
        <span>from token</span>
        <span>{from + rows}</span>
      </div>
      {map}
      <div class="axes-x" aria-hidden="true">
        <span>1</span>
        <span>to token</span>
        <span>{columns}</span>
      </div>
      <div class="axes-x" aria-hidden="true">
        <span>
          share of the token’s attention, by its square root: 0 % <span class="scale" /> 100 %
        </span>
      </div>
    </div>
  );
}
