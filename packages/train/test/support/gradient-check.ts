/**
 * Compares gradients with central finite differences. The function under test maps tensors to a tensor; its result is
 * weighted with fixed random numbers and summed up, so that every output counts on its own.
 *
 * Differences are taken in double precision. Gradients are computed on every backend at hand: in double precision, where
 * they must agree to a millionth, and in F32 on the backends that people train on, where rounding is allowed for.
 */
import { cpu } from '@mariana/backend-cpu';
import { tfjs } from '@mariana/backend-tfjs';
import { type Backend, type Shape, sizeOf, type Tensor } from '@mariana/core';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { expect } from 'vitest';
import { autodiff } from '../../src/index.ts';
import { Float64Backend } from './float64-backend.ts';
import { randomValues } from './random.ts';

/** A function of tensors, in terms of whatever backend it is given. */
export type TensorFunction = (backend: Backend, inputs: readonly Tensor[]) => Tensor | Promise<Tensor>;

export interface CheckInput {
  readonly shape: Shape;
  readonly values: readonly number[];
}

export function randomInput(shape: Shape, seed: number, low?: number, high?: number): CheckInput {
  return { shape, values: randomValues(sizeOf(shape), seed, low, high) };
}

const STEP = 1e-5;

/** Backends that compute in F32, started once for each test file. */
const F32_BACKENDS: readonly Backend[] = [await cpu({ threads: 1 }), await tfjs({ tf, engine: 'cpu' })];

/** Allowed difference, as a share of the largest gradient of an input, plus an absolute part. */
const FLOAT64 = { relative: 1e-6, absolute: 1e-7 };
const FLOAT32 = { relative: 1e-4, absolute: 1e-5 };

export async function checkGradients(body: TensorFunction, inputs: readonly CheckInput[]): Promise<void> {
  const numeric = await numericGradients(body, inputs);
  const doubles = new Float64Backend();
  const upload = ({ shape, values }: CheckInput) => doubles.uploadDoubles(values, shape);
  expectAgreement(doubles, await analyticGradients(body, inputs, doubles, upload), numeric, FLOAT64);
  for (const backend of F32_BACKENDS) {
    const singles = ({ shape, values }: CheckInput) => backend.upload(Float32Array.from(values), shape);
    expectAgreement(backend, await analyticGradients(body, inputs, backend, singles), numeric, FLOAT32);
  }
}

function expectAgreement(
  backend: Backend,
  analytic: readonly number[][],
  numeric: readonly number[][],
  { relative, absolute }: { relative: number; absolute: number },
): void {
  for (const [which, expected] of numeric.entries()) {
    const tolerance = absolute + relative * Math.max(0, ...expected.map(Math.abs));
    for (const [i, value] of expected.entries()) {
      const actual = analytic[which]![i]!;
      const message = `${backend.name}, input ${which}, element ${i}: analytic ${actual}, numeric ${value}`;
      expect(Math.abs(actual - value), message).toBeLessThanOrEqual(tolerance);
    }
  }
}

async function numericGradients(body: TensorFunction, inputs: readonly CheckInput[]): Promise<number[][]> {
  const gradients: number[][] = [];
  for (const [which, input] of inputs.entries()) {
    const at = (i: number, step: number) => {
      const values = input.values.with(i, input.values[i]! + step);
      return weightedValue(body, inputs.with(which, { ...input, values }));
    };
    const gradient: number[] = [];
    for (const i of input.values.keys()) gradient.push(((await at(i, STEP)) - (await at(i, -STEP))) / (2 * STEP));
    gradients.push(gradient);
  }
  return gradients;
}

/** Gradients of the weighted result, which leave nothing behind on either backend. */
async function analyticGradients(
  body: TensorFunction,
  inputs: readonly CheckInput[],
  inner: Backend,
  upload: (input: CheckInput) => Tensor,
): Promise<number[][]> {
  const before = inner.memory();
  const backend = autodiff(inner);
  const parameters = inputs.map((input) => backend.parameter(upload(input)));
  const y = await body(backend, parameters);
  const weights = backend.adopt(upload({ shape: y.shape, values: outputWeights(y.size) }));
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
  expect(backend.memory().tensors).toBe(0);
  expect(inner.memory()).toEqual(before);
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
