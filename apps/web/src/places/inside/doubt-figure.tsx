/** How sure the routers were, token by token. */
import { useMemo } from 'preact/hooks';
import { moment } from '../../state/text.ts';
import { Figure } from '../../ui/figure.tsx';
import { number } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import { Plane } from '../../ui/plane.tsx';
import { columnsFor } from './experts-figure.tsx';
import { type InsideFigureProps, useRoutes } from './routes.ts';
import { entropyFinding, entropyLines, meanEntropy } from './statistics.ts';

/** Points of a line, at most: there are hardly more pixels, and each costs some drawing. */
const POINTS = 128;

export function DoubtFigure({ model, isWatched }: InsideFigureProps) {
  const { version } = usePaced(moment, isWatched);
  const routes = useRoutes(model, version);
  const { layers, experts } = routes;
  const limit = Math.log2(experts);
  const { lines, each } = useMemo(() => entropyLines(routes, POINTS), [routes]);
  const last = routes.seen.at(-1)?.position ?? 0;
  const table = () => {
    const means = meanEntropy(routes);
    return {
      columns: ['Layer', 'Mean entropy (bits)', 'At most (bits)'],
      rows: layers.map((layer, index) => [layer, number(means[index]!), number(limit)]),
    };
  };
  return (
    <Figure title="Doubt of the routers: entropy of their scores" finding={entropyFinding(routes)} table={table}>
      {layers.map((layer, index) => {
        const isLast = index === layers.length - 1;
        return (
          <Plane
            key={layer}
            height={isLast ? 96 : 56}
            label={`Entropy of the scores of layer ${layer}'s router by token`}
            margin={{ left: 40, right: 56, top: index === 0 ? 24 : 8, bottom: isLast ? 40 : 8 }}
            x={{
              from: 0,
              to: columnsFor(last + 1),
              label: isLast ? (each === 1 ? 'token' : `token; each point is the mean of ${each}`) : null,
              ...(isLast ? {} : { ticks: [] }),
              format: number,
            }}
            y={{ from: 0, to: limit, ticks: [0, limit], label: index === 0 ? 'bits' : null, format: number }}
          >
            {({ line, right, top, bottom }) => (
              <>
                <path d={line(lines[index]!)} />
                <text x={right + 8} y={(top + bottom) / 2} dy="0.32em">
                  layer {layer}
                </text>
              </>
            )}
          </Plane>
        );
      })}
    </Figure>
  );
}
