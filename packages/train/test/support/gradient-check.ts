/**
 * Compares gradients with central finite differences. The function under test maps tensors to a tensor; its result is
 * weighted with fixed random numbers and summed up, so that every output counts on its own.
 */
import { type Backend, type Shape, sizeOf, type Tensor } from '@mariana/core';
import { expect } from 'vitest';
import { autodiff } from '../../src/index.ts';
import { Float64Backend } from './float64-backend.ts';

/** A function of tensors, in terms of whatever backend it is given. */
export type TensorFunction = (backend: Backend, inputs: readonly Tensor[]) => Tensor | Promise<Tensor>;

export interface CheckInput {
  readonly shape: Shape;
  readonly values: readonly number[];
}

/** Reproducible numbers in [low, high). */
export function randomValues(count: number, seed: number, low = -1, high = 1): number[] {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return low + (((t ^ (t >>> 14)) >>> 0) / 4294967296) * (high - low);
  });
}

export function randomInput(shape: Shape, seed: number, low?: number, high?: number): CheckInput {
  return { shape, values: randomValues(sizeOf(shape), seed, low, high) };
}

const STEP = 1e-5;

/** @param relative - Allowed difference, as a share of the largest gradient of the input (plus 1e-7). */
export async function checkGradients(
  body: TensorFunction,
  inputs: readonly CheckInput[],
  relative = 1e-6,
): Promise<void> {
  const analytic = await analyticGradients(body, inputs);
  for (const [which, input] of inputs.entries()) {
    const tolerance = 1e-7 + relative * Math.max(0, ...analytic[which]!.map(Math.abs));
    for (let i = 0; i < input.values.length; i++) {
      const at = (step: number) => {
        const values = input.values.with(i, input.values[i]! + step);
        return weightedValue(body, inputs.with(which, { ...input, values }));
      };
      const numeric = ((await at(STEP)) - (await at(-STEP))) / (2 * STEP);
      const difference = Math.abs(numeric - analytic[which]![i]!);
      expect(
        difference,
        `input ${which}, element ${i}: analytic ${analytic[which]![i]}, numeric ${numeric}`,
      ).toBeLessThanOrEqual(tolerance);
    }
  }
}

/** Gradients of the weighted result, which leave nothing behind on either backend. */
async function analyticGradients(body: TensorFunction, inputs: readonly CheckInput[]): Promise<number[][]> {
  const inner = new Float64Backend();
  const backend = autodiff(inner);
  const parameters = inputs.map(({ shape, values }) => backend.parameter(inner.uploadDoubles(values, shape)));
  using y = await body(backend, parameters);
  using weights = backend.adopt(inner.uploadDoubles(outputWeights(y.size), y.shape));
  const gradients = backend.backward(y, { seed: weights });
  const values: number[][] = [];
  for (const parameter of parameters) {
    using gradient = gradients.get(parameter)!;
    expect(gradient.shape).toEqual(parameter.shape);
    values.push([...(await backend.read(gradient))]);
    parameter.dispose();
  }
  y.dispose();
  weights.dispose();
  expect(backend.memory()).toEqual({ tensors: 0, bytes: 0 });
  expect(inner.memory()).toEqual({ tensors: 0, bytes: 0 });
  return values;
}

async function weightedValue(body: TensorFunction, inputs: readonly CheckInput[]): Promise<number> {
  const backend = new Float64Backend();
  const tensors = inputs.map(({ shape, values }) => backend.uploadDoubles(values, shape));
  const y = [...(await backend.read(await body(backend, tensors)))];
  const weights = outputWeights(y.length);
  return y.reduce((sum, value, i) => sum + value * weights[i]!, 0);
}

const outputWeights = (size: number) => randomValues(size, 99, 0.5, 1.5);
