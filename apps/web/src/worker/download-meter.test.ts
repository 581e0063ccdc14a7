import { expect, test } from 'vitest';
import { DownloadMeter } from './download-meter.ts';
import type { LoadEvent } from './model-api.ts';

test('the rate is that of the last seconds, told ten times a second and at the end', () => {
  const told: LoadEvent[] = [];
  let now = 0;
  const meter = new DownloadMeter(
    (event) => told.push(event),
    () => now,
  );
  // 1 MB a second for ten seconds, seen every 20 ms, of which a third was there before.
  for (; now <= 10_000; now += 20) {
    meter.see({ file: 'a', loaded: 5e6 + now * 1000, total: 15e6, kept: 5e6 });
  }
  const rates = told.map((event) => (event.kind === 'download' ? event.bytesPerSecond : 0));
  expect(rates[0]).toBeNull();
  for (const rate of rates.slice(1)) expect(rate).toBeCloseTo(1e6, -2);
  expect(told.length).toBeLessThanOrEqual(102);
  expect(told.at(-1)).toMatchObject({ loaded: 15e6, total: 15e6, kept: 5e6 });
});

test('another file begins anew', () => {
  const told: LoadEvent[] = [];
  const meter = new DownloadMeter(
    (event) => told.push(event),
    () => 0,
  );
  meter.see({ file: 'a', loaded: 10, total: 10, kept: 0 });
  meter.see({ file: 'b', loaded: 1, total: 10, kept: 0 });
  expect(told).toMatchObject([{ file: 'a' }, { file: 'b', bytesPerSecond: null }]);
});
