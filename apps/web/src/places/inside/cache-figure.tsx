/** What the text takes in the cache, beside what plain attention would take. */
import { kvCacheBytesPerToken } from '@mariana/core';
import { moment } from '../../state/text.ts';
import { Figure } from '../../ui/figure.tsx';
import { bytes, number } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import { Plane } from '../../ui/plane.tsx';
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
  const isLeft = count <= columns / 2;
  return (
    <Figure title="The cache" finding={finding} table={table}>
      <Plane
        height={240}
        label={finding}
        margin={{ left: 64, right: 16, top: 24, bottom: 40 }}
        x={{ from: 0, to: columns, label: 'tokens', format: number }}
        y={{ from: 0, to: columns * cost.plain, label: 'cache', format: bytes }}
      >
        {({ x, y, line }) =>
          kinds.map(({ name, each }) => (
            <g key={name}>
              <path
                d={line([
                  [0, 0],
                  [columns, columns * each],
                ])}
                opacity={0.4}
              />
              <polygon points={`${x(0)},${y(0)} ${x(count)},${y(count * each)} ${x(count)},${y(0)}`} opacity={0.25} />
              <path
                d={line([
                  [0, 0],
                  [count, count * each],
                ])}
                stroke-width={2}
              />
              <circle cx={x(count)} cy={y(count * each)} r={4} />
              <text
                class="plane-name"
                x={x(count) + (isLeft ? 10 : -10)}
                y={y(count * each) - 8}
                text-anchor={isLeft ? 'start' : 'end'}
              >
                {name}: {bytes(count * each)}
              </text>
            </g>
          ))
        }
      </Plane>
    </Figure>
  );
}
