/** What the text takes in the cache, beside what plain attention would take. */
import { kvCacheBytesPerToken } from '@mariana/core';
import { moment } from '../../state/text.ts';
import { Chart } from '../../ui/chart.tsx';
import { Figure } from '../../ui/figure.tsx';
import { bytes } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import { columnsFor } from './experts-figure.tsx';
import type { InsideFigureProps } from './routes.ts';
import { type CacheCost, cacheFinding } from './statistics.ts';

export function CacheFigure({ model, isWatched }: InsideFigureProps) {
  const { config, drafts } = model;
  // As the page loads models: numbers of the cache are kept in F32; the module for drafts keeps rows of its own.
  const perToken = (attention: 'latent' | 'multi-head') =>
    kvCacheBytesPerToken(config, { attention, dtype: 'f32', mtp: drafts });
  const cost: CacheCost = { latent: perToken('latent'), plain: perToken('multi-head') };
  const count = usePaced(moment, isWatched).tokens.length;
  const columns = columnsFor(count);
  const finding = cacheFinding(cost, count);
  const kinds = [
    { name: 'plain attention', each: cost.plain },
    { name: 'latent (this model)', each: cost.latent },
  ];
  const table = () => ({
    columns: ['Tokens', ...kinds.map(({ name }) => `${name[0]!.toUpperCase()}${name.slice(1)}`)],
    rows: [...new Set([1, count, columns, config.maxPositionEmbeddings])]
      .sort((a, b) => a - b)
      .map((length) => [length, ...kinds.map(({ each }) => bytes(length * each))]),
  });
  return (
    <Figure title="The cache" finding={finding} table={table}>
      <Chart
        height={240}
        label={finding}
        of={[count, columns, cost.latent, cost.plain]}
        draw={(plot) => ({
          marginLeft: 64,
          x: { label: 'tokens', domain: [0, columns] },
          y: {
            label: 'cache',
            domain: [0, columns * cost.plain],
            ticks: 5,
            tickFormat: (value: number) => bytes(value),
            grid: true,
          },
          marks: kinds.flatMap(({ name, each }) => [
            plot.lineY(ends(columns, each), { x: 'tokens', y: 'size', stroke: 'currentColor', strokeOpacity: 0.4 }),
            plot.areaY(ends(count, each), { x: 'tokens', y: 'size', fill: 'currentColor', fillOpacity: 0.25 }),
            plot.lineY(ends(count, each), { x: 'tokens', y: 'size', stroke: 'currentColor', strokeWidth: 2 }),
            plot.dot(ends(count, each).slice(1), { x: 'tokens', y: 'size', fill: 'currentColor', r: 4 }),
            plot.text(ends(count, each).slice(1), {
              x: 'tokens',
              y: 'size',
              text: [`${name}: ${bytes(count * each)}`],
              textAnchor: count > columns / 2 ? 'end' : 'start',
              dx: count > columns / 2 ? -10 : 10,
              dy: -8,
              fill: 'var(--ink)',
              stroke: 'var(--paper)',
              strokeWidth: 4,
            }),
          ]),
        })}
      />
    </Figure>
  );
}

function ends(tokens: number, each: number): { tokens: number; size: number }[] {
  return [
    { tokens: 0, size: 0 },
    { tokens, size: tokens * each },
  ];
}
