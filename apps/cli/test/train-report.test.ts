/** The parts of a training report: curves, the picture of loads, and the line that redraws itself. */
import { inflateSync } from 'node:zlib';
import { preset } from '@mariana/core';
import { describe, expect, it } from 'vitest';
import { progressLine, span, TrainingDisplay } from '../src/train/display.ts';
import type { Metrics } from '../src/train/metrics.ts';
import { lineChart } from '../src/train/report/line-chart.ts';
import { loadHeatmap, relativeLoads } from '../src/train/report/load-heatmap.ts';
import { pngUrl } from '../src/train/report/png.ts';
import { trainingReport } from '../src/train/report/report.ts';
import { completeSettings } from '../src/train/settings.ts';

const metrics = (step: number, load: Record<string, number[]> = {}): Metrics => ({
  step,
  loss: 5 / step,
  crossEntropy: 4 / step,
  balanceLoss: 0,
  mtpLoss: [],
  gradientNorm: 1,
  learningRate: 1e-3,
  tokens: 100 * step,
  tokensPerSecond: 1234.5,
  seconds: step,
  maxViolation: 0.25,
  load,
});

describe('curves', () => {
  const coordinates = (svg: string) =>
    Array.from(/<path class="s1" d="M([^"]*)"/.exec(svg)![1]!.matchAll(/(-?[\d.]+),(-?[\d.]+)/g), ([, x, y]) => [
      Number(x),
      Number(y),
    ]);

  it('go from left to right over the whole run, and larger is higher', () => {
    const points = [1, 2, 3, 4].map((step) => [step, step * step] as const);
    const svg = lineChart([{ name: 'square', color: 1, points }], { label: 'x', unit: 'y', steps: 7 });
    const drawn = coordinates(svg);
    expect(drawn.map(([x]) => x)).toEqual([70, 182.3, 294.7, 407]);
    const heights = drawn.map(([, y]) => y!);
    expect(heights).toEqual(heights.toSorted((a, b) => b - a));
    expect(svg).toContain('square: <b>16.00 at step 4</b>');
  });

  it('on a logarithmic axis equal factors are equal distances, and what is not above 0 is left out', () => {
    const points = [
      [1, 1],
      [2, 0],
      [3, 10],
      [4, 100],
    ] as const;
    const svg = lineChart([{ name: 'a', color: 1, points }], { label: 'x', unit: 'y', steps: 4, scale: 'log' });
    const [first, second, third] = coordinates(svg).map(([, y]) => y!);
    expect(first! - second!).toBeCloseTo(second! - third!, 0);
    expect(coordinates(svg)).toHaveLength(3);
  });

  it('of many points are drawn through means', () => {
    const points = Array.from({ length: 10_000 }, (_, i) => [i + 1, i % 2] as const);
    const svg = lineChart([{ name: 'a', color: 1, points }], { label: 'x', unit: 'y', steps: 10_000 });
    expect(coordinates(svg)).toHaveLength(500);
    expect(new Set(coordinates(svg).map(([, y]) => y)).size).toBe(1);
  });

  it('can have one point, all the same, or none', () => {
    const draw = (points: (readonly [number, number])[]) =>
      lineChart([{ name: '<a>', color: 1, points }], { label: 'x', unit: 'y', steps: 1 });
    expect(draw([[1, 0]])).toContain('<circle');
    expect(draw([[1, 5]])).not.toMatch(/NaN|Infinity/);
    expect(draw([[1, 5]])).toContain('&lt;a&gt;');
    expect(draw([])).toContain('Nothing was measured');
  });
});

describe('the picture of loads', () => {
  it('is a PNG of the colours that it was given', () => {
    const pixels = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    const bytes = Buffer.from(pngUrl(pixels, 2, 2).split(',')[1]!, 'base64');
    expect(bytes.subarray(0, 8)).toEqual(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'));
    expect([bytes.readUInt32BE(16), bytes.readUInt32BE(20)]).toEqual([2, 2]);
    const at = bytes.indexOf('IDAT');
    const data = inflateSync(bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at - 4)));
    expect([...data]).toEqual([0, 1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12]);
    // The checksum of an empty IEND is the same in every PNG.
    expect(bytes.subarray(-4).toString('hex')).toBe('ae426082');
  });

  it('shows loads over the mean, steps put together', () => {
    const lines = [metrics(1, { 1: [0, 4] }), metrics(2, { 1: [2, 2] }), metrics(3, { 1: [0, 0] })];
    expect(relativeLoads(lines, '1')).toEqual([
      [0, 2],
      [1, 1],
      [1, 1],
    ]);
    expect(relativeLoads(lines, '1', 2)).toEqual([
      [0.5, 1.5],
      [1, 1],
    ]);
    expect(loadHeatmap(lines, 3)).toMatch(/layer 1<.*2 experts<.*step 1<.*step 3</s);
  });

  it('of a layer that began later are even before', () => {
    const lines = [metrics(1, { 1: [1, 3] }), metrics(2, { 1: [1, 3], 2: [0, 4] })];
    expect(relativeLoads(lines, '2')).toEqual([
      [1, 1],
      [0, 2],
    ]);
    expect(loadHeatmap(lines, 2)).toMatch(/layer 1<.*layer 2</s);
  });
});

describe('the report', () => {
  const settings = completeSettings({ data: 'd', steps: 4, out: './<model>' });

  it('of a run without experts has no load, and none of a run without steps', () => {
    const html = trainingReport({
      settings,
      config: preset('tiny'),
      parameters: 12_345,
      lines: [1, 2].map((step) => metrics(step)),
    });
    expect(html).toContain('2 of 4');
    expect(html).toContain('12,345');
    expect(html).toContain('&lt;model&gt;');
    expect(html).not.toMatch(/Load of the experts|FP8 ranges|NaN|undefined/);
    expect(trainingReport({ settings, config: preset('tiny'), parameters: 1, lines: [] })).toContain(
      'No step was taken',
    );
  });
});

describe('the line of progress', () => {
  const shown = (isTTY: boolean, columns?: number) => {
    const parts: string[] = [];
    const stderr = { write: (text: string) => parts.push(text), isTTY, columns };
    const io = { stderr } as unknown as ConstructorParameters<typeof TrainingDisplay>[0];
    return { parts, display: new TrainingDisplay(io, { steps: 3, step: 0, quiet: false }) };
  };

  it('redraws itself on a terminal and fits it', () => {
    const { parts, display } = shown(true, 40);
    display.update(metrics(1, { 1: [1] }));
    display.note('checkpoint');
    display.update(metrics(3));
    display.end();
    const [first, cleared, note, last, end] = parts;
    expect(first).toBe(`\r\x1b[2K${'step 1/3  loss 5.0000  1,235 tokens/s  MaxViolation 0.25'.slice(0, 39)}`);
    expect([cleared, note, end]).toEqual(['\r\x1b[2K', 'checkpoint\n', '\r\x1b[2K']);
    expect(last).toContain('step 3/3');
  });

  it('elsewhere is a line now and then, the last step in any case', () => {
    const { parts, display } = shown(false);
    for (const step of [1, 2, 3]) display.update(metrics(step));
    expect(parts).toHaveLength(2);
    expect(parts[0]).toMatch(/^step 1\/3 {2}loss 5\.0000 {2}1,235 tokens\/s {2}ends \d\d:\d\d \(in \d+ s\)\n$/);
    expect(parts[1]).toBe(`${progressLine(metrics(3), 3)}\n`);
  });

  it('says times as people do', () => {
    expect([0, 42.4, 100, 5940, 12_000].map(span)).toEqual(['0 s', '42 s', '2 min', '99 min', '3 h 20 min']);
  });
});
