/** How the load of the experts changed: a picture with a row for each expert of each layer and time from left to right. */
import type { Metrics } from '../metrics.ts';
import { pngUrl } from './png.ts';

/** Most columns: steps are put together so that there are no more. */
const COLUMNS = 240;
const [WIDTH, LEFT, RIGHT] = [760, 70, 16];
const GAP = 8;

type Color = readonly [number, number, number];
/** No load, the mean, twice the mean and more. */
const COLORS: readonly [Color, Color, Color] = [
  [33, 102, 172],
  [244, 244, 240],
  [178, 24, 43],
];

/** The heatmap of all layers, with axes and a legend; it is as wide as the run, of `steps`, is done. */
export function loadHeatmap(lines: readonly Metrics[], steps: number): string {
  const layers = Object.keys(lines.at(-1)?.load ?? {});
  const experts = layers.reduce((sum, layer) => sum + lines.at(-1)!.load[layer]!.length, 0);
  const rowHeight = Math.min(12, Math.max(2, 420 / experts));
  const [first, last] = [lines[0]!.step, lines.at(-1)!.step];
  const at = (step: number) => LEFT + ((WIDTH - LEFT - RIGHT) * step) / Math.max(steps, last);
  const [left, right] = [at(first - 1), at(last)];
  let top = 6;
  const pictures = layers.map((layer) => {
    const { url, rows } = layerPicture(lines, layer);
    const height = rows * rowHeight;
    const middle = top + height / 2;
    const svg =
      `<image href="${url}" x="${left}" y="${top}" width="${right - left}" height="${height}" ` +
      `preserveAspectRatio="none" style="image-rendering:pixelated"/>` +
      `<text x="${LEFT - 8}" y="${middle}" text-anchor="end">layer ${layer}</text>` +
      `<text x="${LEFT - 8}" y="${middle + 14}" text-anchor="end" class="axis">${rows} experts</text>`;
    top += height + GAP;
    return svg;
  });
  const below = top + 12;
  return (
    `<p class="legend"><span class="key">no load <i class="scale"></i> twice the mean or more; white is the mean</span></p>` +
    `<svg viewBox="0 0 ${WIDTH} ${below + 8}" role="img" aria-label="Load of each expert over time">${pictures.join('')}` +
    // Where there is room for one label only, it says both.
    (right - left < 160
      ? `<text x="${left}" y="${below}">steps ${first} to ${last}</text></svg>`
      : `<text x="${left}" y="${below}">step ${first}</text>` +
        `<text x="${right}" y="${below}" text-anchor="end">step ${last}</text></svg>`)
  );
}

/** The legend's colours as CSS. */
export const loadScaleCss = `linear-gradient(90deg, ${COLORS.map((color) => `rgb(${color.join(' ')})`).join(', ')})`;

/**
 * Loads of a layer over the mean, put together over as many steps as one column stands for. A layer that did not run yet,
 * of multi-token prediction that begins later, has no load and is as even as can be.
 */
export function relativeLoads(lines: readonly Metrics[], layer: string, columns = COLUMNS): number[][] {
  const experts = lines.at(-1)!.load[layer]!;
  const size = Math.ceil(lines.length / columns);
  return Array.from({ length: Math.ceil(lines.length / size) }, (_, column) => {
    const part = lines.slice(column * size, (column + 1) * size);
    const sums = experts.map((_, expert) => part.reduce((sum, { load }) => sum + (load[layer]?.[expert] ?? 0), 0));
    const mean = sums.reduce((sum, load) => sum + load, 0) / sums.length;
    return sums.map((load) => (mean === 0 ? 1 : load / mean));
  });
}

function layerPicture(lines: readonly Metrics[], layer: string): { url: string; rows: number } {
  const columns = relativeLoads(lines, layer);
  const rows = columns[0]!.length;
  const pixels = new Uint8Array(3 * columns.length * rows);
  for (const [x, loads] of columns.entries()) {
    for (const [y, load] of loads.entries()) pixels.set(colorOf(load), 3 * (y * columns.length + x));
  }
  return { url: pngUrl(pixels, columns.length, rows), rows };
}

function colorOf(load: number): Color {
  const place = Math.min(2, load);
  const [from, to] = place <= 1 ? [COLORS[0], COLORS[1]] : [COLORS[1], COLORS[2]];
  const share = place <= 1 ? place : place - 1;
  const mix = (i: 0 | 1 | 2) => Math.round(from[i] + (to[i] - from[i]) * share);
  return [mix(0), mix(1), mix(2)];
}
