/** Where each token went: experts by tokens, small for every MoE layer and large for one. */
import { useMemo } from 'preact/hooks';
import { allRouting } from '../../state/observed.ts';
import { moment, select } from '../../state/text.ts';
import { visible } from '../../text/pieces.ts';
import { Figure } from '../../ui/figure.tsx';
import { HeatMap } from '../../ui/heat-map.tsx';
import { percent } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import type { TokenRouting } from '../../worker/model-api.ts';
import { type InsideFigureProps, useRoutes } from './routes.ts';
import { show, shownLayers } from './shown.ts';
import { choices, expertLoad, largestShare, type Routes } from './statistics.ts';

export function ExpertsFigure({ model, isWatched }: InsideFigureProps) {
  const { tokens, shown, version } = usePaced(moment, isWatched);
  const routes = useRoutes(model, version);
  const { layers, experts, k, seen } = routes;
  const large = Math.min(shownLayers.value.experts, layers.length - 1);
  const columns = columnsFor(tokens.length);
  const marked = shown?.position ?? null;
  const most = useMemo(() => largestShare(routes), [routes]);
  const load = useMemo(() => expertLoad(routes), [routes]);
  /** Shares of a token's weight that one layer gave to its experts, as amounts. */
  const amounts = (index: number) => (one: TokenRouting, cells: Float32Array) => {
    let sum = 0;
    for (let i = 0; i < k; i++) sum += one.weights[index * k + i]!;
    for (let i = 0; i < k; i++) cells[one.experts[index * k + i]!] = one.weights[index * k + i]! / sum / most;
  };
  const finding = sentence(routes, large, load[large]!);
  const table = () => ({
    columns: ['Token', ...layers.map((layer) => `Experts of layer ${layer} (share of weight)`)],
    rows: seen.map((one) => {
      const token = tokens[one.position];
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
          entries={allRouting()}
          along="columns"
          room={columns}
          cells={experts}
          amounts={amounts(large)}
          of={[large, most, model]}
          height={Math.max(128, Math.min(320, 8 * experts))}
          label={finding}
          marked={marked}
          onPoint={(_, column) => {
            if (column < tokens.length) select(column);
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
                entries={allRouting()}
                along="columns"
                room={columns}
                cells={experts}
                amounts={amounts(index)}
                of={[most, model]}
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
