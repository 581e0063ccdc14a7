/** Curves over the steps of a run, drawn as SVG. Scales and paths are d3's; colours are the page's, for light and dark. */
import { scaleLinear, scaleLog } from 'd3-scale';
import { line } from 'd3-shape';
import { escaped, figure } from './html.ts';

export interface Series {
  readonly name: string;
  /** Step and value, in the order of steps. */
  readonly points: readonly (readonly [number, number])[];
  /** One of the page's colours, from 1. */
  readonly color: number;
  /** Marks each point, for series of few. */
  readonly dots?: boolean;
}

export interface ChartOptions {
  /** What the chart shows, for those who do not see it. */
  readonly label: string;
  /** What the values are, with their unit. */
  readonly unit: string;
  /** Steps of the whole run. */
  readonly steps: number;
  readonly scale?: 'linear' | 'log';
  /** Value that the axis must reach down to. */
  readonly from?: number;
}

const [WIDTH, HEIGHT] = [760, 280];
const MARGIN = { left: 70, right: 16, top: 14, bottom: 42 };
/** Most points of a curve: more could not be seen. */
const POINTS = 500;

/** A chart with its legend; the legend has the last value of each series. */
export function lineChart(
  series: readonly Series[],
  { label, unit, steps, scale = 'linear', from }: ChartOptions,
): string {
  const shown = series.map((one) => ({ ...one, points: thinned(one.points.filter(([, y]) => isShown(y, scale))) }));
  const values = shown.flatMap(({ points }) => points.map(([, y]) => y));
  if (values.length === 0) return '<p class="none">Nothing was measured.</p>';
  const x = scaleLinear([Math.min(1, steps - 1), steps], [MARGIN.left, WIDTH - MARGIN.right]);
  const y = (scale === 'log' ? scaleLog() : scaleLinear())
    .domain(extent(values, scale, from))
    .range([HEIGHT - MARGIN.bottom, MARGIN.top])
    .nice();
  const path = line<readonly [number, number]>(
    ([step]) => round(x(step)),
    ([, value]) => round(y(value)),
  );
  const yTicks = scale === 'log' ? logTicks(y.ticks(20)) : y.ticks(6);
  const grid = yTicks.map(
    (tick) =>
      `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${round(y(tick))}" y2="${round(y(tick))}"/>` +
      `<text x="${MARGIN.left - 8}" y="${round(y(tick)) + 4}" text-anchor="end">${tickText(tick)}</text>`,
  );
  const xTicks = x
    .ticks(8)
    .filter(Number.isInteger)
    .map(
      (tick) => `<text x="${round(x(tick))}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${tick}</text>`,
    );
  const curves = shown.map(({ points, color, dots }) => {
    const marks = dots || points.length === 1 ? points : [];
    const circles = marks.map(
      ([step, value]) => `<circle class="c${color}" cx="${round(x(step))}" cy="${round(y(value))}" r="3"/>`,
    );
    return `<path class="s${color}" d="${path(points)}"/>${circles.join('')}`;
  });
  const legend = series.map(({ name, color, points }) => {
    const last = points.at(-1);
    const value = last === undefined ? 'not measured' : `${figure(last[1])} at step ${last[0]}`;
    return `<span class="key"><i class="k${color}"></i>${escaped(name)}: <b>${value}</b></span>`;
  });
  return (
    `<p class="legend">${legend.join('')}</p>` +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(label)}">${grid.join('')}${xTicks.join('')}` +
    `<text class="axis" x="${WIDTH - MARGIN.right}" y="${HEIGHT - 6}" text-anchor="end">step</text>` +
    `<text class="axis" transform="translate(14 ${(HEIGHT - MARGIN.bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(unit)}</text>` +
    `${curves.join('')}</svg>`
  );
}

const isShown = (value: number, scale: 'linear' | 'log') => Number.isFinite(value) && (scale === 'linear' || value > 0);

const round = (value: number) => Math.round(value * 10) / 10;

function extent(values: readonly number[], scale: 'linear' | 'log', from?: number): [number, number] {
  const [min, max] = values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [from ?? Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
  if (min! < max!) return [min!, max!];
  // All values are the same: give the line some room.
  return scale === 'log'
    ? [min! / 2, min! * 2]
    : [min! - Math.max(0.5, Math.abs(min!) / 2), min! + Math.max(0.5, Math.abs(min!) / 2)];
}

/** Of the ticks of a logarithmic axis the powers of ten; with few of those 1, 2 and 5 of each. */
function logTicks(ticks: readonly number[]): readonly number[] {
  const mantissa = (tick: number) => Number((tick / 10 ** Math.floor(Math.log10(tick) + 1e-9)).toPrecision(6));
  const powers = ticks.filter((tick) => mantissa(tick) === 1);
  if (powers.length < 3) return ticks.filter((tick) => [1, 2, 5].includes(mantissa(tick)));
  const every = Math.ceil(powers.length / 8);
  return powers.filter((_, i) => i % every === 0);
}

function tickText(tick: number): string {
  const size = Math.abs(tick);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return tick.toExponential(1).replace('.0e', 'e');
  return String(Number(tick.toPrecision(6)));
}

/** Means over equal numbers of steps, where there are more points than can be seen. */
function thinned(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const size = Math.ceil(points.length / POINTS);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    const mean = (axis: 0 | 1) => part.reduce((sum, point) => sum + point[axis], 0) / part.length;
    return [mean(0), mean(1)] as const;
  });
}
