/** How evenly the text was spread over experts: the bars of one layer, and all layers. */
import { useMemo } from 'preact/hooks';
import { moment } from '../../state/text.ts';
import { Chart } from '../../ui/chart.tsx';
import { Figure } from '../../ui/figure.tsx';
import { percent } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import { LayersByExperts } from './layers-by-experts.tsx';
import { range } from './range.ts';
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
  const table = () => ({
    columns: ['Expert', ...layers.map((layer) => `Layer ${layer} (share of tokens)`)],
    rows: range(experts).map((expert) => [expert, ...load.map((row) => percent(row[expert]!))]),
  });
  return (
    <Figure title="Load of each expert over the whole text" finding={loadFinding(routes)} table={table}>
      <Chart
        height={200}
        label={`Load of the experts of layer ${layers[large]}`}
        of={[routes, large]}
        draw={(plot, width) => ({
          marginLeft: 48,
          marginRight: 0,
          x: { label: `expert of layer ${layers[large]}`, ticks: ticksOf(experts, width), tickSize: 0, padding: 0.2 },
          y: { label: 'tokens (%)', domain: [0, 100 * most], ticks: 4 },
          marks: [
            plot.barY(load[large]!, { x: range(experts), y: (share: number) => 100 * share, fill: 'currentColor' }),
            plot.ruleY([100 * even], { stroke: 'var(--ink)', strokeDasharray: '4 3' }),
            plot.text([{ share: 100 * even }], {
              y: 'share',
              text: ['even'],
              frameAnchor: 'right',
              dy: -7,
              fill: 'var(--ink)',
              stroke: 'var(--paper)',
              strokeWidth: 4,
            }),
            plot.ruleY([0]),
          ],
        })}
      />
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

/** As many numbers on an axis of experts as have room. */
function ticksOf(count: number, width: number): number[] {
  const room = Math.max(2, Math.floor(width / 32));
  let step = 1;
  while (count / step > room) step *= 2;
  return range(count).filter((expert) => expert % step === 0);
}
