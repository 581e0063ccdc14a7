/** The experts of one token in all MoE layers. */
import { routingAt } from '../../state/observed.ts';
import { shownToken } from '../../state/text.ts';
import { Chart } from '../../ui/chart.tsx';
import { amountScale, isDark } from '../../ui/colors.ts';
import { Figure } from '../../ui/figure.tsx';
import { percent } from '../../ui/numbers.ts';
import { choices, largestShare, type Routes, tokenFinding } from './statistics.ts';

export function TokenFigure({ routes }: { routes: Routes }) {
  const token = shownToken();
  const routing = token === null ? undefined : routingAt(token.position);
  const cells =
    routing === undefined
      ? []
      : routes.layers.flatMap((layer, index) =>
          choices(routes, routing, index).map(({ expert, share }) => ({ layer, expert, share })),
        );
  const finding =
    token === null || routing === undefined
      ? 'This token has not been through the network: it is run when the next one is wanted.'
      : tokenFinding(routes, routing, token);
  const table = () => ({
    columns: ['Layer', 'Expert', 'Share of weight'],
    rows: cells.map(({ layer, expert, share }) => [layer, expert, percent(share)]),
  });
  const most = largestShare(routes);
  const height = 56 + Math.min(480, Math.max(96, 28 * routes.layers.length));
  return (
    <Figure title="Experts of this token, in each layer" finding={finding} table={table}>
      <Chart
        height={height}
        label={finding}
        of={[routing, routes.experts, routes.layers.length, most, isDark.value]}
        draw={(plot, width) => ({
          marginLeft: 48,
          x: {
            label: 'expert',
            domain: range(routes.experts),
            tickSize: 0,
            ticks: ticksOf(routes.experts, width),
            padding: 0.1,
          },
          y: { label: 'layer', domain: routes.layers, tickSize: 0, padding: 0.1 },
          color: { type: 'linear', domain: [0, most], ...amountScale() },
          marks: [
            plot.cell(grid(routes), { x: 'expert', y: 'layer', fill: 'currentColor', fillOpacity: 0.08 }),
            plot.cell(cells, { x: 'expert', y: 'layer', fill: 'share', title: ({ share }) => percent(share) }),
          ],
        })}
      />
    </Figure>
  );
}

function grid({ layers, experts }: Routes): { layer: number; expert: number }[] {
  return layers.flatMap((layer) => range(experts).map((expert) => ({ layer, expert })));
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** As many numbers on an axis of experts as have room. */
export function ticksOf(count: number, width: number): number[] {
  const room = Math.max(2, Math.floor(width / 32));
  let step = 1;
  while (count / step > room) step *= 2;
  return range(count).filter((expert) => expert % step === 0);
}
