/** How evenly the text was spread over experts, and how sure the routers were. */
import { tokens } from '../../state/text.ts';
import { Chart } from '../../ui/chart.tsx';
import { amountScale, isDark } from '../../ui/colors.ts';
import { Figure } from '../../ui/figure.tsx';
import { number, percent } from '../../ui/numbers.ts';
import { shownLayers } from './shown.ts';
import { entropyFinding, expertLoad, loadFinding, meanEntropy, type Routes } from './statistics.ts';
import { range, ticksOf } from './token-figure.tsx';

export function LoadFigures({ routes, version }: { routes: Routes; version: number }) {
  const { layers, experts, k, seen } = routes;
  const load = expertLoad(routes);
  const even = k / experts;
  const most = Math.max(even, ...load.map((row) => Math.max(...row)));
  const large = Math.min(shownLayers.value.experts, layers.length - 1);
  const cells = layers.flatMap((layer, index) =>
    Array.from(load[index]!, (share, expert) => ({ layer, expert, share: 100 * share })),
  );
  const bars = cells.filter(({ layer }) => layer === layers[large]);
  const of = [version, seen.length, large, isDark.value, experts];
  const loadTable = () => ({
    columns: ['Expert', ...layers.map((layer) => `Layer ${layer} (share of tokens)`)],
    rows: range(experts).map((expert) => [expert, ...load.map((row) => percent(row[expert]!))]),
  });
  const means = meanEntropy(routes);
  const limit = Math.log2(experts);
  const points = seen.flatMap(({ position, entropy }) =>
    layers.map((layer, index) => ({ position: position + 1, layer, bits: entropy[index]! })),
  );
  const entropyTable = () => ({
    columns: ['Layer', 'Mean entropy (bits)', 'At most (bits)'],
    rows: layers.map((layer, index) => [layer, number(means[index]!), number(limit)]),
  });
  const finding = loadFinding(routes);
  return (
    <div class="inside-pair">
      <Figure title="Load of each expert over the whole text" finding={finding} table={loadTable}>
        <Chart
          height={200}
          label={`Load of the experts of layer ${layers[large]}`}
          of={of}
          draw={(plot, width) => ({
            marginLeft: 48,
            x: { label: `expert of layer ${layers[large]}`, ticks: ticksOf(experts, width), tickSize: 0, padding: 0.2 },
            y: { label: 'tokens (%)', domain: [0, 100 * most], ticks: 4 },
            marks: [
              plot.barY(bars, {
                x: 'expert',
                y: 'share',
                fill: 'currentColor',
                title: ({ share }) => percent(share / 100),
              }),
              plot.ruleY([100 * even], { stroke: 'var(--ink)', strokeDasharray: '4 3' }),
              plot.text([{ share: 100 * even }], {
                y: 'share',
                text: ['even'],
                frameAnchor: 'right',
                dy: -7,
                fill: 'var(--ink)',
              }),
              plot.ruleY([0]),
            ],
          })}
        />
        <Chart
          height={56 + Math.min(480, Math.max(64, 20 * layers.length))}
          label="Load of the experts of all layers"
          of={of}
          draw={(plot, width) => ({
            marginLeft: 48,
            x: { label: 'expert', domain: range(experts), ticks: ticksOf(experts, width), tickSize: 0, padding: 0.05 },
            y: { label: 'layer', domain: layers, tickSize: 0, padding: 0.05 },
            color: { type: 'linear', domain: [0, 100 * most], ...amountScale() },
            marks: [
              plot.cell(cells, { x: 'expert', y: 'layer', fill: 'share', title: ({ share }) => percent(share / 100) }),
            ],
          })}
        />
      </Figure>
      <Figure
        title="Doubt of the routers: entropy of their scores"
        finding={entropyFinding(routes)}
        table={entropyTable}
      >
        <Chart
          height={Math.max(200, 40 + 56 * Math.min(layers.length, 8))}
          label="Entropy of the router's scores by token, for each layer"
          of={[...of, tokens.value.length === 0]}
          draw={(plot) => ({
            marginLeft: 48,
            marginRight: 56,
            x: { label: 'token' },
            y: { label: 'bits', domain: [0, limit], ticks: [0, Math.floor(limit)] },
            fy: { label: null, padding: 0.3, tickFormat: (layer: number) => `layer ${layer}` },
            marks: [
              plot.gridY({ ticks: [0, Math.floor(limit)] }),
              plot.lineY(points, { x: 'position', y: 'bits', fy: 'layer', stroke: 'currentColor' }),
            ],
          })}
        />
      </Figure>
    </div>
  );
}
