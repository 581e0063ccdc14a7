/** What each head takes of each token, for one layer: all heads small, one of them large, and the token's row as text. */
import type { ModelConfig } from '@mariana/core';
import { attentionAt, observedVersion, watch } from '../../state/observed.ts';
import { running, selected, shownToken, tokens } from '../../state/text.ts';
import { visible } from '../../text/pieces.ts';
import { TokenText } from '../../text/token-text.tsx';
import { Figure } from '../../ui/figure.tsx';
import { HeatMap } from '../../ui/heat-map.tsx';
import { percent } from '../../ui/numbers.ts';
import { useThrottled } from '../../ui/throttled.ts';
import { columnsFor } from './experts-figure.tsx';
import { show, shownLayers } from './shown.ts';
import { attentionFinding, attentionRow } from './statistics.ts';
import { range } from './token-figure.tsx';

/** Longest text whose heads are all drawn: each picture has its square in pixels. */
const MOST = 512;

export function AttentionFigure({ config, active }: { config: ModelConfig; active: boolean }) {
  const layers = config.numHiddenLayers;
  const heads = config.numAttentionHeads;
  const layer = Math.min(shownLayers.value.attention, layers - 1);
  const head = Math.min(shownLayers.value.head, heads - 1);
  const version = useThrottled(observedVersion.value, running.value === null ? 0 : 500, active);
  const token = shownToken();
  const seen = token === null ? undefined : attentionAt(token.position);
  const all = tokens.value;
  const size = columnsFor(all.length);
  const row = seen === undefined ? null : attentionRow(seen, head);
  const finding =
    seen === undefined
      ? 'This token has not been through the network: it is run when the next one is wanted.'
      : attentionFinding(seen, head, all);
  const table = () => ({
    columns: ['Token', ...range(heads).map((one) => `Head ${one}`)],
    rows:
      seen === undefined
        ? []
        : all
            .slice(0, seen.position + 1)
            .map((one, position) => [
              `${position + 1} ${visible(one.name)}`,
              ...range(heads).map((index) => percent(attentionRow(seen, index)[position]!)),
            ]),
  });
  const most = row === null ? 1 : Math.max(...row);
  // Only the text that is there is shaded; tokens after this one cannot be seen by it.
  const shares = row === null ? null : all.map((_, position) => (position < row.length ? row[position]! / most : null));
  return (
    <Figure title="Attention" finding={finding} table={table}>
      <fieldset class="row plain">
        <legend class="visually-hidden">Layer</legend>
        <span class="quiet" aria-hidden="true">
          Layer
        </span>
        {range(layers).map((one) => (
          <button key={one} type="button" aria-pressed={one === layer} onClick={() => choose(one)}>
            {one}
          </button>
        ))}
      </fieldset>
      <div class="attention">
        <HeadMap head={head} size={size} version={version} height={320} layer={layer} />
        <TokenText label={`Attention of head ${head}, on the text`} shares={shares} />
      </div>
      {size > MOST && <p class="quiet">Pictures of all heads are drawn for texts up to {MOST} tokens.</p>}
      <div class="multiples">
        {range(heads).map((one) => (
          <button
            key={one}
            type="button"
            class="multiple"
            aria-pressed={one === head}
            onClick={() => show({ head: one })}
          >
            Head {one}
            {size <= MOST && <HeadMap head={one} size={size} version={version} height={112} layer={layer} small />}
          </button>
        ))}
      </div>
    </Figure>
  );
}

interface HeadMapProps {
  readonly head: number;
  readonly layer: number;
  readonly size: number;
  readonly version: number;
  readonly height: number;
  readonly small?: boolean;
}

function HeadMap({ head, layer, size, version, height, small = false }: HeadMapProps) {
  const count = tokens.value.length;
  const shown = shownToken();
  const map = (
    <HeatMap
      rows={size}
      columns={size}
      of={[version, head, layer, size]}
      height={height}
      label={small ? null : `Head ${head} of layer ${layer}: what each token (down) takes of those before it (across)`}
      markedRow={shown?.position ?? null}
      fill={(cells) => {
        for (let position = 0; position < count; position++) {
          const attention = attentionAt(position);
          if (attention === undefined) continue;
          const row = attentionRow(attention, head);
          // Weights get small as texts get long; their roots can still be told apart.
          for (let key = 0; key < row.length; key++) cells[position * size + key] = Math.sqrt(row[key]!);
        }
      }}
      {...(!small && {
        onPoint: (rowIndex: number) => {
          if (rowIndex < tokens.value.length) selected.value = rowIndex;
        },
      })}
    />
  );
  if (small) return map;
  return (
    <div class="axes">
      <div class="axes-y" aria-hidden="true">
        <span>1</span>
        <span>from token</span>
        <span>{size}</span>
      </div>
      {map}
      <div class="axes-x" aria-hidden="true">
        <span>1</span>
        <span>to token</span>
        <span>{size}</span>
      </div>
      <div class="axes-x" aria-hidden="true">
        <span>
          share of the token’s attention, by its square root: 0 % <span class="scale" /> 100 %
        </span>
      </div>
    </div>
  );
}

function choose(layer: number): void {
  show({ attention: layer });
  watch(layer);
}
