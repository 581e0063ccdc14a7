/** Curves of training as pictures that stand alone, for the documentation. */
import { lineChart, type Series } from '../../apps/cli/src/train/report/line-chart.ts';

/** Means over the steps before, `width` of them, as the report smooths its curves; from the first whole mean on. */
export function smoothed(values: readonly number[], width = 100): (readonly [number, number])[] {
  const points: (readonly [number, number])[] = [];
  let sum = 0;
  for (const [i, value] of values.entries()) {
    sum += value - (i >= width ? values[i - width]! : 0);
    if (i + 1 >= width) points.push([i + 1, sum / width]);
  }
  return points;
}

export interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly series: readonly Series[];
}

/** Charts over the steps of a run, below each other in one picture that stands alone. */
export function picture(steps: number, panels: readonly Panel[]): string {
  const [width, chart, head] = [760, 280, 52];
  const hues = ['#0b6e99', '#c2410c', '#4d7c0f'];
  const style =
    'text{font:12px system-ui,sans-serif;fill:#444}.t{font-weight:600;font-size:14px;fill:#111}.grid{stroke:#ddd}path{fill:none;stroke-width:1.6}' +
    hues.map((hue, i) => `.s${i + 1}{stroke:${hue}}.c${i + 1}{fill:${hue}}`).join('');
  const parts = panels.map(({ title, unit, series }, i) => {
    const inner = /<svg[\s\S]*<\/svg>/.exec(lineChart(series, { label: title, unit, steps }))![0];
    const top = i * (chart + head);
    const keys = series.map(({ name, color }, k) => {
      const x = 70 + k * 230;
      return `<path class="s${color}" d="M${x} ${top + 38}h22"/><text x="${x + 28}" y="${top + 42}">${name}</text>`;
    });
    return (
      `<text class="t" x="70" y="${top + 20}">${title}</text>${keys.join('')}` +
      inner.replace('<svg', `<svg x="0" y="${top + head}" width="${width}" height="${chart}"`)
    );
  });
  const height = panels.length * (chart + head);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">` +
    `<title>${panels.map(({ title }) => title).join('; ')}</title><style>${style}</style><rect width="${width}" height="${height}" fill="#fff"/>${parts.join('')}</svg>\n`
  );
}
