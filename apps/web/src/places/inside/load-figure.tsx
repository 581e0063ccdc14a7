/** How evenly the text was spread over experts: the bars of one layer, and all layers. */
import { useMemo } from 'preact/hooks';
import { moment } from '../../state/text.ts';
import { Figure } from '../../ui/figure.tsx';
import { number, percent } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import { Plane } from '../../ui/plane.tsx';
import { LayersByExperts } from './layers-by-experts.tsx';
import { range, stepFor } from './range.ts';
import { type InsideFigureProps, useRoutes } from './routes.ts';
import { shownLayers } from './shown.ts';
import { expertLoad, loadFinding } from './statistics.ts';

export function LoadFigure({ model, isWatched }: InsideFigureProps) {
  const { version } = usePaced(moment, isWatched);
  const routes = useRoutes(model, version);
  const { layers, experts, k } = routes;
  const load = useMemo(() => expertLoad(routes), [routes]);
  const even = k / experts;
  const most = Math.max(even, ...load.map((row) => Math.max(...row)));
  const large = Math.min(shownLayers.value.experts, layers.length - 1);
  const every = stepFor(experts, 12);
  const table = () => ({
    columns: ['Expert', ...layers.map((layer) => `Layer ${layer} (share of tokens)`)],
    rows: range(experts).map((expert) => [expert, ...load.map((row) => percent(row[expert]!))]),
  });
  return (
    <Figure title="Load of each expert over the whole text" finding={loadFinding(routes)} table={table}>
      <Plane
        height={200}
        label={`Load of the experts of layer ${layers[large]}`}
        margin={{ left: 40, right: 0, top: 24, bottom: 40 }}
        x={{
          from: -0.5,
          to: experts - 0.5,
          ticks: range(experts).filter((expert) => expert % every === 0),
          label: `expert of layer ${layers[large]}`,
          format: String,
        }}
        y={{ from: 0, to: 100 * most, label: 'tokens (%)', format: number }}
      >
        {({ x, y, left, right, bottom }) => (
          <>
            {Array.from(load[large]!, (share, expert) => (
              <rect
                key={expert}
                x={x(expert - 0.4)}
                width={x(expert + 0.4) - x(expert - 0.4)}
                y={y(100 * share)}
                height={bottom - y(100 * share)}
              />
            ))}
            <line
              x1={left}
              x2={right}
              y1={y(100 * even)}
              y2={y(100 * even)}
              stroke="var(--ink)"
              stroke-dasharray="4 3"
            />
            <text class="plane-name" x={right} y={y(100 * even) - 5} text-anchor="end">
              even
            </text>
          </>
        )}
      </Plane>
      <LayersByExperts
        layers={layers}
        experts={experts}
        rows={load}
        amounts={(row, cells) => {
          for (const [expert, share] of row.entries()) cells[expert] = share / most;
        }}
        of={[most]}
        label="Load of the experts of all layers"
        scale={{ none: 'tokens: 0 %', most: percent(most) }}
      />
    </Figure>
  );
}
