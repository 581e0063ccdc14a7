/** Muon against expected values from singular values, and what its steps are. */
import { readFile } from 'node:fs/promises';
import { cpu } from '@mariana/backend-cpu';
import { reference } from '@mariana/backend-reference';
import type { Backend, Tensor } from '@mariana/core';
import { afterAll, describe, expect, it } from 'vitest';
import { isMuonParameter, Optimizer, train } from '../src/index.ts';
import { expectRelative } from './support/golden.ts';
import { randomValues } from './support/random.ts';
import { smallConfig, smallData } from './support/small-run.ts';

interface Expected {
  readonly learningRate: number;
  readonly momentum: number;
  readonly weightDecay: number;
  readonly matrices: Readonly<
    Record<
      string,
      {
        readonly shape: readonly number[];
        readonly parameter: readonly number[];
        readonly steps: readonly Readonly<Record<'gradient' | 'parameter' | 'momentum', readonly number[]>>[];
      }
    >
  >;
}

const path = new URL('./fixtures/train-muon/expected.json', import.meta.url);
const { learningRate, momentum, weightDecay, matrices } = JSON.parse(await readFile(path, 'utf8')) as Expected;
const backends: [string, Backend][] = [
  ['reference', reference()],
  ['cpu', await cpu({ threads: 1 })],
];
afterAll(() => {
  for (const [, backend] of backends) backend.dispose();
});

describe.each(backends)('Muon on %s', (_, backend) => {
  const upload = (values: ArrayLike<number>, shape: readonly number[]) =>
    backend.upload(Float32Array.from(values), shape);

  it('gives the parameters and momenta of three steps', async () => {
    using optimizer = new Optimizer(backend, { algorithm: 'muon', momentum, weightDecay });
    const names = Object.keys(matrices);
    const parameters = new Map<string, Tensor>();
    for (const name of names) parameters.set(name, upload(matrices[name]!.parameter, matrices[name]!.shape));
    for (const [i] of matrices.wide!.steps.entries()) {
      optimizer.beginStep();
      const updates = names.map((name) => ({
        name,
        parameter: parameters.get(name)!,
        gradient: upload(matrices[name]!.steps[i]!.gradient, matrices[name]!.shape),
      }));
      const next = optimizer.updateAll(updates, { learningRate });
      for (const [j, name] of names.entries()) {
        parameters.set(name, next[j]!);
        const expected = matrices[name]!.steps[i]!;
        expectRelative(`${name} ${i}`, await next[j]!.read(), expected.parameter, 2e-6);
        const { first, second } = optimizer.moments().get(name)!;
        expectRelative(`momentum of ${name} ${i}`, await first.read(), expected.momentum, 1e-6);
        expect(second).toBeNull();
      }
    }
  });

  it('moves every direction alike: singular values of a step lie near 1, whatever those of the gradient', async () => {
    for (const shape of [
      [8, 40],
      [33, 8],
    ] as const) {
      // Columns (or rows) whose sizes differ a hundredfold.
      const [rows, columns] = shape;
      const gradient = randomValues(rows * columns, 3).map(
        (value, i) => value * 10 ** (-2 * ((rows > columns ? i % columns : Math.floor(i / columns)) / 7)),
      );
      const state = { parameter: upload(new Float32Array(rows * columns), shape), momentum: upload(new Float32Array(rows * columns), shape) }; // biome-ignore format: one line
      const [next] = backend.muon([state], [upload(gradient, shape)], { learningRate: 1 });
      const step = (await next!.parameter.read()) as Float32Array;
      const size = 0.2 * Math.sqrt(Math.max(rows, columns));
      const small = Math.min(rows, columns);
      const x = (i: number, j: number) => -step[rows > columns ? j * columns + i : i * columns + j]! / size;
      const gram = Array.from({ length: small }, (_, i) =>
        Array.from({ length: small }, (_, j) => {
          let sum = 0;
          for (let k = 0; k < Math.max(rows, columns); k++) sum += x(i, k) * x(j, k);
          return sum;
        }),
      );
      for (const value of eigenvalues(gram)) {
        expect(Math.sqrt(value)).toBeGreaterThan(0.65);
        expect(Math.sqrt(value)).toBeLessThan(1.25);
      }
    }
  });
});

it('moves hidden matrices, and leaves rows of their own and vectors to AdamW', async () => {
  const backend = reference();
  using run = await train(smallConfig, { backend, data: smallData, steps: 1, optimizer: { algorithm: 'muon' } });
  for await (const _ of run);
  const kinds = new Map<string, Set<boolean>>();
  for (const [name, { second }] of run.optimizer.moments()) {
    const { tensor } = run.model.parameters.get(name)!;
    expect(second === null, name).toBe(isMuonParameter(name, tensor));
    const kind = name.replace(/^model\.layers\.\d+\.|^model\.|\.\d+(?=\.)/g, '').replace(/\.weight$/, '');
    kinds.set(kind, (kinds.get(kind) ?? new Set()).add(second === null));
  }
  const moved = (byMuon: boolean) => [...kinds].filter(([, found]) => found.has(byMuon)).map(([kind]) => kind).sort(); // biome-ignore format: one line
  const gated = (module: string) => ['down', 'gate', 'up'].map((name) => `mlp.${module}${name}_proj`);
  expect(moved(true)).toEqual(
    [
      'eh_proj',
      ...['', 'experts.', 'shared_experts.'].flatMap(gated),
      ...['kv_a_proj_with_mqa', 'kv_b_proj', 'o_proj', 'q_a_proj', 'q_b_proj'].map((name) => `self_attn.${name}`),
    ].sort(),
  );
  expect(moved(false).filter((kind) => !kind.endsWith('norm'))).toEqual(['embed_tokens', 'lm_head', 'mlp.gate']);
});

/** Of a symmetric matrix, by Jacobi rotations. */
function eigenvalues(given: readonly (readonly number[])[]): number[] {
  const m = given.map((row) => [...row]);
  const n = m.length;
  for (let sweep = 0; sweep < 12; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const angle = 0.5 * Math.atan2(2 * m[p]![q]!, m[q]![q]! - m[p]![p]!);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let k = 0; k < n; k++) {
          const [left, right] = [m[k]![p]!, m[k]![q]!];
          m[k]![p] = c * left - s * right;
          m[k]![q] = s * left + c * right;
        }
        for (let k = 0; k < n; k++) {
          const [above, below] = [m[p]![k]!, m[q]![k]!];
          m[p]![k] = c * above - s * below;
          m[q]![k] = s * above + c * below;
        }
      }
    }
  }
  return m.map((row, i) => row[i]!);
}
