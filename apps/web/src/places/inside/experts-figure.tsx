/** Where each token went: experts by tokens, small for every MoE layer and large for one. */
import { useMemo } from 'preact/hooks';
import { selected, shownToken, tokens } from '../../state/text.ts';
import { visible } from '../../text/pieces.ts';
import { Figure } from '../../ui/figure.tsx';
import { HeatMap } from '../../ui/heat-map.tsx';
import { percent } from '../../ui/numbers.ts';
import { show, shownLayers } from './shown.ts';
import { choices, expertLoad, largestShare, type Routes } from './statistics.ts';

export function ExpertsFigure({ routes, version }: { routes: Routes; version: number }) {
  const { layers, experts, k, seen } = routes;
  const large = Math.min(shownLayers.value.experts, layers.length - 1);
  const columns = columnsFor(tokens.value.length);
  const marked = shownToken()?.position ?? null;
  const most = useMemo(() => largestShare(routes), [version, layers]);
  const load = useMemo(() => expertLoad(routes), [version, layers]);
  const fill = (index: number) => (cells: Float32Array) => {
    for (const one of seen) {
      let sum = 0;
      for (let i = 0; i < k; i++) sum += one.weights[index * k + i]!;
      for (let i = 0; i < k; i++) {
        const at = index * k + i;
        cells[one.experts[at]! * columns + one.position] = one.weights[at]! / sum / most;
      }
    }
  };
  const finding = sentence(routes, large, load[large]!);
  const table = () => ({
    columns: ['Token', ...layers.map((layer) => `Experts of layer ${layer} (share of weight)`)],
    rows: seen.map((one) => {
      const token = tokens.value[one.position];
      const text = token === undefined ? '' : ` ${visible(token.name)}`;
      return [`${one.position + 1}${text}`, ...layers.map((_, index) => cellText(routes, one, index))];
    }),
  });
  return (
    <Figure title="Experts, token by token" finding={finding} table={table}>
      <div class="axes">
        <div class="axes-y" aria-hidden="true">
          <span>expert 0</span>
          <span>layer {layers[large]}</span>
          <span>expert {experts - 1}</span>
        </div>
        <HeatMap
          rows={experts}
          columns={columns}
          fill={fill(large)}
          of={[version, large, columns, most]}
          height={Math.max(128, Math.min(320, 8 * experts))}
          label={finding}
          marked={marked}
          onPoint={(_, column) => {
            if (column < tokens.value.length) selected.value = column;
          }}
        />
        <div class="axes-x" aria-hidden="true">
          <span>token 1</span>
          <span>
            share of the token’s weight: 0 % <span class="scale" /> {percent(most)}
          </span>
          <span>{columns}</span>
        </div>
      </div>
      {layers.length > 1 && (
        <div class="multiples">
          {layers.map((layer, index) => (
            <button
              key={layer}
              type="button"
              class="multiple"
              aria-pressed={index === large}
              onClick={() => show({ experts: index })}
            >
              Layer {layer}
              <HeatMap
                rows={experts}
                columns={columns}
                fill={fill(index)}
                of={[version, index, columns, most]}
                height={64}
                label={null}
                marked={marked}
              />
            </button>
          ))}
        </div>
      )}
    </Figure>
  );
}

/** Room for tokens that come: it grows seldom, so that what is there stays where it is. */
export function columnsFor(count: number): number {
  let columns = 64;
  while (columns < count) columns *= 2;
  return columns;
}

function sentence(routes: Routes, index: number, load: Float64Array): string {
  const order = Array.from(load.keys()).sort((a, b) => load[b]! - load[a]!);
  const [first = 0, second = 0] = order;
  return (
    `Layer ${routes.layers[index]} uses expert ${first} most, for ${percent(load[first]!)} of ${routes.seen.length} tokens, ` +
    `then expert ${second} for ${percent(load[second]!)}; even would be ${percent(routes.k / routes.experts)}.`
  );
}

function cellText(routes: Routes, routing: Routes['seen'][number], index: number): string {
  return choices(routes, routing, index)
    .map(({ expert, share }) => `${expert} (${percent(share)})`)
    .join(', ');
}
