/** FP8 range statistics: counted by hand, and without a trace in the run that they look at. */
import { cpu } from '@mariana/backend-cpu';
import { afterAll, expect, it } from 'vitest';
import { autodiff, Fp8RangeRecorder, fp8Linear, train } from '../src/index.ts';
import { smallConfig, smallData } from './support/small-run.ts';

const backend = await cpu({ threads: 1 });
afterAll(() => backend.dispose());

it('tells magnitudes and what is lost', async () => {
  const observer = new Fp8RangeRecorder();
  const before = backend.memory();
  const tape = autodiff(backend);
  {
    // Two groups of activations, of magnitudes 448 and 2; in the first 1e-4 vanishes, in the second nothing does.
    const x = Float32Array.of(448, 1e-4, 0, -448, 2, 1, 0.5, 0);
    using activations = tape.upload(x, [2, 4]);
    using weight = tape.parameter(tape.upload(Float32Array.of(1, 2, 3, 4), [1, 4]));
    using quiet = fp8Linear(tape, activations, weight, { observer });
    expect(await observer.take()).toEqual({});
    observer.active = true;
    using y = fp8Linear(tape, activations, weight, { observer });
    expect(await y.read()).toEqual(await quiet.read());
    const ranges = await observer.take();
    expect(Object.keys(ranges).sort()).toEqual(['activation', 'weight']);
    expect(ranges.activation).toMatchObject({ values: 8, atMaximum: 3 / 8, underflow: 1 / 6 });
    expect(ranges.activation!.largestGroup).toBeCloseTo(448, 3);
    expect(ranges.activation!.smallestGroup).toBeCloseTo(2, 6);
    expect(ranges.weight).toMatchObject({ values: 4, atMaximum: 1 / 4, underflow: 0 });
    expect(ranges.weight!.largestGroup).toBeCloseTo(4, 6);
    expect(await observer.take()).toEqual({});
  }
  expect(backend.memory()).toEqual(before);
});

it('sees all three operands of a run and changes none of its numbers', async () => {
  const options = { backend, data: smallData, steps: 2, batchSize: 2, precision: 'fp8' as const };
  const observer = new Fp8RangeRecorder();
  observer.active = true;
  using watched = await train(smallConfig, { ...options, fp8: { observer } });
  using plain = await train(smallConfig, options);
  for (let step = 0; step < 2; step++) {
    expect((await watched.advance()).loss).toBe((await plain.advance()).loss);
    const ranges = await observer.take();
    expect(Object.keys(ranges).sort()).toEqual(['activation', 'gradient', 'weight']);
    for (const { smallestGroup, largestGroup, underflow, values } of Object.values(ranges)) {
      expect(smallestGroup).toBeGreaterThanOrEqual(0.9e-4);
      expect(largestGroup).toBeGreaterThanOrEqual(smallestGroup);
      expect(underflow).toBeGreaterThanOrEqual(0);
      expect(underflow).toBeLessThanOrEqual(1);
      expect(values).toBeGreaterThan(100);
    }
  }
}, 120_000);
