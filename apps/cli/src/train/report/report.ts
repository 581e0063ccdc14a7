/** The report of a run: one HTML file without scripts or links, to be read in light and dark, on screen and on paper. */
import type { ModelConfig } from '@mariana/core';
import { exact } from '../../format.ts';
import { span } from '../display.ts';
import type { Metrics } from '../metrics.ts';
import type { Settings } from '../settings.ts';
import { escaped, figure, htmlTable } from './html.ts';
import { lineChart, type Series } from './line-chart.ts';
import { loadHeatmap, loadScaleCss } from './load-heatmap.ts';

export const REPORT_FILE = 'report.html';

export interface ReportInput {
  readonly settings: Settings;
  readonly config: ModelConfig;
  readonly parameters: number;
  readonly lines: readonly Metrics[];
}

/** The page. */
export function trainingReport(input: ReportInput): string {
  const { settings, lines } = input;
  const last = lines.at(-1);
  const title = `Training of ${settings.out}`;
  const body =
    last === undefined
      ? '<p>No step was taken yet.</p>'
      : [
          summary(input, last),
          losses(lines, settings),
          rates(lines, settings),
          balance(lines, settings),
          ranges(lines, settings),
        ].join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<style>${CSS}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
${body}
</body>
</html>
`;
}

function summary({ settings, config, parameters, lines }: ReportInput, last: Metrics): string {
  const { precision, balance: how, batch, accumulate, sequence, seed } = settings;
  const validation = lines.findLast((line) => line.validation !== undefined);
  const isMoe = Object.keys(last.load).length > 0;
  const rows: [string, string][] = [
    ['steps', `${exact(last.step)} of ${exact(settings.steps)}`],
    ['tokens', `${exact(last.tokens)}, ${exact(batch * accumulate * sequence)} a step`],
    [
      'time',
      `${span(last.seconds)}, ${exact(Math.round(last.tokens / Math.max(last.seconds, 1e-9)))} tokens/s over all`,
    ],
    ['loss', figure(last.loss)],
    ['cross-entropy', `${figure(last.crossEntropy)} nats a token`],
    ...last.mtpLoss.map((loss, i): [string, string] => [
      `multi-token prediction, depth ${i + 1}`,
      `${figure(loss)} nats`,
    ]),
    ...(validation?.validation
      ? ([
          [
            'validation cross-entropy',
            `${figure(validation.validation.crossEntropy)} nats a token, at step ${validation.step}`,
          ],
          ['validation bits per byte', figure(validation.validation.bitsPerByte)],
        ] as [string, string][])
      : []),
    ...(isMoe ? ([['MaxViolation', `${figure(last.maxViolation)} in the worst layer`]] as [string, string][]) : []),
    ['parameters', exact(parameters)],
    [
      'model',
      `${config.numHiddenLayers} layers, hidden size ${config.hiddenSize}, vocabulary ${exact(config.vocabSize)}` +
        (isMoe ? `, ${config.nRoutedExperts} experts of which a token takes ${config.numExpertsPerTok}` : ''),
    ],
    ['recipe', `${precision.toUpperCase()} products, balance: ${how}, seed ${seed}`],
  ];
  return `<section>${htmlTable([['', 'last step'], ...rows])}</section>`;
}

const points = (lines: readonly Metrics[], value: (line: Metrics) => number | undefined): Series['points'] =>
  lines.flatMap((line) => {
    const y = value(line);
    return y === undefined ? [] : [[line.step, y] as const];
  });

function losses(lines: readonly Metrics[], { steps }: Settings): string {
  const validation = points(lines, (line) => line.validation?.crossEntropy);
  const depths = lines.at(-1)!.mtpLoss.map(
    (_, depth): Series => ({
      name: `multi-token prediction, depth ${depth + 1}`,
      color: 3,
      points: points(lines, ({ mtpLoss }) => mtpLoss[depth]),
    }),
  );
  const series: Series[] = [
    { name: 'cross-entropy', color: 1, points: points(lines, ({ crossEntropy }) => crossEntropy) },
    ...(validation.length > 0 ? [{ name: 'validation', color: 2, points: validation, dots: true }] : []),
    ...depths,
  ];
  const chart = lineChart(series, { label: 'Loss over steps', unit: 'nats a token', steps });
  return `<section><h2>Loss</h2>${chart}</section>`;
}

function rates(lines: readonly Metrics[], { steps }: Settings): string {
  const learning: Series[] = [{ name: 'learning rate', color: 1, points: points(lines, (line) => line.learningRate) }];
  const norm: Series[] = [
    { name: 'norm before clipping', color: 1, points: points(lines, (line) => line.gradientNorm) },
  ];
  return (
    `<section><h2>Learning rate</h2>${lineChart(learning, { label: 'Learning rate over steps', unit: 'learning rate', steps, from: 0 })}</section>` +
    `<section><h2>Gradient norm</h2>${lineChart(norm, { label: 'Gradient norm over steps', unit: 'norm', steps, scale: 'log' })}</section>`
  );
}

function balance(lines: readonly Metrics[], { steps }: Settings): string {
  if (Object.keys(lines.at(-1)!.load).length === 0) return '';
  const worst: Series[] = [{ name: 'worst layer', color: 1, points: points(lines, (line) => line.maxViolation) }];
  return (
    `<section><h2>Load of the experts</h2>${loadHeatmap(lines, steps)}</section>` +
    `<section><h2>MaxViolation</h2><p>How far the busiest expert of the worst layer is above the mean: (largest load - mean) / mean. 0 is perfect balance.</p>` +
    `${lineChart(worst, { label: 'MaxViolation over steps', unit: 'MaxViolation', steps, from: 0 })}</section>`
  );
}

const OPERANDS = [
  ['activation', 'activations', 1],
  ['weight', 'weights', 2],
  ['gradient', 'gradients', 3],
] as const;

function ranges(lines: readonly Metrics[], { steps }: Settings): string {
  const measured = lines.filter((line) => line.fp8 !== undefined);
  const last = measured.at(-1);
  if (last === undefined) return '';
  const magnitudes = OPERANDS.flatMap(([operand, name, color]): Series[] => [
    { name: `${name}, largest`, color, points: points(measured, ({ fp8 }) => fp8![operand]?.largestGroup) },
    {
      name: `${name}, smallest`,
      color: color + 3,
      points: points(measured, ({ fp8 }) => fp8![operand]?.smallestGroup),
    },
  ]);
  const lost = OPERANDS.map(
    ([operand, name, color]): Series => ({
      name,
      color,
      points: points(measured, ({ fp8 }) => {
        const range = fp8![operand];
        return range && 100 * range.underflow;
      }),
    }),
  );
  const rows = OPERANDS.flatMap(([operand, name]) => {
    const range = last.fp8![operand];
    if (range === undefined) return [];
    const shares = [range.underflow, range.atMaximum].map((share) => `${figure(100 * share)}%`);
    return [[name, figure(range.smallestGroup), figure(range.largestGroup), ...shares, exact(range.values)]];
  });
  const head = ['', 'smallest group', 'largest group', 'became 0', 'largest code', 'values'];
  return (
    `<section><h2>FP8 ranges</h2><p>Values share a scale in groups: 1 x 128 of activations and gradients, 128 x 128 of weights. ` +
    `The magnitude of a group is its largest value, at least 1e-4; the scale makes it 448, the largest E4M3 number. ` +
    `What is far below that becomes 0. Measured at step ${last.step}:</p>${htmlTable([head, ...rows])}` +
    `<h3>Magnitude of groups</h3>${lineChart(magnitudes, { label: 'Magnitudes of FP8 groups over steps', unit: 'largest value', steps, scale: 'log' })}` +
    `<h3>Values that became 0</h3>${lineChart(lost, { label: 'Share of values lost to FP8 over steps', unit: '% of values other than 0', steps, from: 0 })}</section>`
  );
}

/** Hues that differ in lightness too, on either ground; those from 4 on are the same, thinner. */
const colors = (hues: readonly string[]) => hues.map((hue, i) => `--c${i + 1}: ${hue};`).join(' ');
const CSS = `
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --soft: #5b6470; --grid: #e3e6ea; ${colors(['#1f5fbf', '#c2410c', '#18794e'])} }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171b; --text: #e6e9ed; --soft: #9aa4b0; --grid: #2c323a; ${colors(['#79aef5', '#f5a067', '#63cf9b'])} }
}
body { background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; max-width: 800px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
p { margin: .3rem 0; } .none { color: var(--soft); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { text-align: left; padding: .2rem 1.2rem .2rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th, td:first-child { color: var(--soft); font-weight: normal; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--text); font-size: 12px; } svg .axis { fill: var(--soft); } .grid { stroke: var(--grid); }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.4rem; font-size: .85rem; }
.key i { display: inline-block; width: 1.4em; height: .25em; margin-right: .4em; vertical-align: middle; }
.key .scale { width: 8em; height: .8em; margin: 0 .3em; background: ${loadScaleCss}; }
path { fill: none; stroke-width: 1.6; }
${[1, 2, 3, 4, 5, 6]
  .map((i) => {
    const color = `var(--c${i > 3 ? i - 3 : i})`;
    const dash = i > 3 ? ' stroke-dasharray: 5 3;' : '';
    const key = i > 3 ? `repeating-linear-gradient(90deg, ${color} 0 4px, transparent 4px 7px)` : color;
    return `.s${i} { stroke: ${color};${dash} } .c${i} { fill: ${color}; } .k${i} { background: ${key}; }`;
  })
  .join('\n')}
`;
