/** What is watched in a session arrives token by token, as one pass over the text would give it. */
import { reference } from '@mariana/backend-reference';
import { Model } from '@mariana/runtime';
import { expect, test } from 'vitest';
import type { Observed } from './model-api.ts';
import { entropyOf, Observation } from './observation.ts';

test('nothing is seen until a layer is chosen; then every token is, with rows that sum to one', async () => {
  const model = await Model.load('tiny', { backend: reference() });
  const { config } = model;
  const observation = new Observation([1, 2], config.numAttentionHeads);
  using session = model.session({ observer: observation.observer });
  await session.append([1, 2, 3]);
  expect(await observation.take()).toEqual({ routing: [], attention: [] });
  observation.layer = 2;
  await session.append([4, 5, 6]);
  const seen: Observed = await observation.take(5);
  expect(seen.routing.map(({ position }) => position)).toEqual([3, 4]);
  expect(seen.attention.map(({ position, layer }) => [position, layer])).toEqual([
    [3, 2],
    [4, 2],
  ]);
  for (const { position, weights } of seen.attention) {
    expect(weights).toHaveLength(config.numAttentionHeads * (position + 1));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    expect(sum).toBeCloseTo(config.numAttentionHeads, 4);
  }
  for (const { experts, weights, entropy } of seen.routing) {
    expect(experts).toHaveLength(2 * config.numExpertsPerTok);
    expect(weights.reduce((total, weight) => total + weight, 0)).toBeCloseTo(2 * config.routedScalingFactor, 4);
    for (const bits of entropy) expect(bits).toBeLessThanOrEqual(Math.log2(config.nRoutedExperts) + 1e-6);
  }
  model.dispose();
});

test('entropy is that of shares, in bits', () => {
  expect(entropyOf(Float32Array.of(1, 1, 1, 1))).toBeCloseTo(2);
  expect(entropyOf(Float32Array.of(0, 3, 0, 0))).toBeCloseTo(0);
  expect(entropyOf(Float32Array.of(2, 2, 4))).toBeCloseTo(1.5);
});
