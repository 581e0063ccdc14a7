/** How sure the routers were, token by token. */
import { useMemo } from 'preact/hooks';
import { moment } from '../../state/text.ts';
import { Chart } from '../../ui/chart.tsx';
import { Figure } from '../../ui/figure.tsx';
import { number } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import { type InsideFigureProps, useRoutes } from './routes.ts';
import { entropyFinding, entropyPoints, meanEntropy } from './statistics.ts';

/** Points of a line, at most: there are hardly more pixels, and each costs some drawing. */
const POINTS = 128;

export function DoubtFigure({ model, isWatched }: InsideFigureProps) {
  const { version } = usePaced(moment, isWatched);
  const routes = useRoutes(model, version);
  const { layers, experts } = routes;
  const limit = Math.log2(experts);
  const { points, each } = useMemo(() => entropyPoints(routes, POINTS), [routes]);
  const table = () => {
    const means = meanEntropy(routes);
    return {
      columns: ['Layer', 'Mean entropy (bits)', 'At most (bits)'],
      rows: layers.map((layer, index) => [layer, number(means[index]!), number(limit)]),
    };
  };
  return (
    <Figure title="Doubt of the routers: entropy of their scores" finding={entropyFinding(routes)} table={table}>
      <Chart
        height={Math.max(200, 40 + 56 * Math.min(layers.length, 8))}
        label="Entropy of the router's scores by token, for each layer"
        of={[points, limit]}
        draw={(plot) => ({
          marginLeft: 48,
          marginRight: 56,
          x: { label: each === 1 ? 'token' : `token (each point the mean of ${each})` },
          y: { label: 'bits', domain: [0, limit], ticks: [0, Math.floor(limit)], tickFormat: '~r' },
          fy: { label: null, padding: 0.3, tickFormat: (layer: number) => `layer ${layer}` },
          marks: [
            plot.gridY({ ticks: [0, Math.floor(limit)] }),
            plot.lineY(points, { x: 'position', y: 'bits', fy: 'layer', stroke: 'currentColor' }),
          ],
        })}
      />
    </Figure>
  );
}
