/** Balance losses, bias update and MaxViolation against the fixture train-balance. */
import { reference } from '@mariana/backend-reference';
import type { Backend, Tensor } from '@mariana/core';
import { describe, expect, it } from 'vitest';
import {
  type AutodiffBackend,
  autodiff,
  expertLoad,
  maxViolation,
  sequenceBalanceLoss,
  switchBalanceLoss,
  updateBias,
} from '../src/index.ts';
import { expectRelative, expectWithin, Golden } from './support/golden.ts';

interface BalanceConfig {
  aux_loss_alpha: number;
  switch_alpha: number;
  bias_update_gamma: number;
  num_experts_per_tok: number;
  n_routed_experts: number;
  n_group: number;
  topk_group: number;
  seq_lengths: number[];
}

const golden = await Golden.open('train-balance');
const config = await golden.config<BalanceConfig>();
const topK = config.num_experts_per_tok;

async function inputs(backend: AutodiffBackend) {
  const load = async (name: string) =>
    backend.parameter(backend.upload(await golden.floats(name), await golden.shape(name)));
  return { hidden: await load('hidden'), gate: await load('gate.weight') };
}

/** Scores of a sigmoid or softmax router, on an autodiff backend with hidden states and gate as parameters. */
async function router(scoring: 'sigmoid' | 'softmax') {
  const backend = autodiff(reference());
  const { hidden, gate } = await inputs(backend);
  const logits = backend.matmul(hidden, gate, { transposeB: true });
  const scores = scoring === 'sigmoid' ? backend.unary('sigmoid', logits) : backend.softmax(logits);
  const check = async (name: string, loss: Tensor) => {
    const gradients = backend.backward(loss);
    expectRelative(
      `${name}.grad_gate`,
      await gradients.get(gate)!.read(),
      await golden.floats(`${name}.grad_gate`),
      1e-5,
    );
    expectRelative(
      `${name}.grad_hidden`,
      await gradients.get(hidden)!.read(),
      await golden.floats(`${name}.grad_hidden`),
      1e-5,
    );
  };
  return { backend, scores, check };
}

const read = async (tensor: Tensor) => tensor.read();

describe('train-balance', () => {
  const options = { topK, alpha: config.aux_loss_alpha, sequenceLengths: config.seq_lengths };

  it('sequence-wise balance loss, its parts and its gradients', async () => {
    const { backend, scores, check } = await router('sigmoid');
    expectRelative('scores', await read(scores), await golden.floats('scores'), 1e-5);
    const { loss, perSequence, fractions, means } = sequenceBalanceLoss(backend, scores, options);
    expect([...(await read(fractions))]).toEqual([...(await golden.floats('seq.f'))]);
    expectRelative('seq.P', await read(means), await golden.floats('seq.P'), 1e-5);
    expectRelative('seq.loss', await read(loss), await golden.floats('seq.loss'), 1e-5);
    expectRelative('per sequence', await read(perSequence), await golden.floats('seq.loss_per_sequence'), 1e-5);
    await check('seq', loss);
  });

  it('the reading that counts the real routing, where it is asked for', async () => {
    const { backend, scores, check } = await router('sigmoid');
    const indices = await golden.integers('topk_routing');
    const chosen = backend.upload(indices, [indices.length / topK, topK]);
    const { loss, fractions } = sequenceBalanceLoss(backend, scores, { ...options, chosen });
    expect([...(await read(fractions))]).toEqual([...(await golden.floats('seq_alt_routing.f'))]);
    expectRelative('loss', await read(loss), await golden.floats('seq_alt_routing.loss'), 1e-5);
    await check('seq_alt_routing', loss);
  });

  it.each([
    ['switch_top1', 'softmax', 1],
    ['switch_topk', 'softmax', topK],
    ['switch_sigmoid', 'sigmoid', topK],
  ] as const)('classic loss: %s', async (name, scoring, k) => {
    const { backend, scores, check } = await router(scoring);
    const { loss, fractions, means } = switchBalanceLoss(backend, scores, { topK: k, alpha: config.switch_alpha });
    expectRelative('f', await read(fractions), await golden.floats(`${name}.f`), 1e-6);
    expectRelative('P', await read(means), await golden.floats(`${name}.P`), 1e-5);
    expectRelative('loss', await read(loss), await golden.floats(`${name}.loss`), 1e-5);
    await check(name, loss);
  });

  it('the routing that loads are counted over is the one with bias and groups', async () => {
    const backend: Backend = reference();
    const scores = await golden.floats('scores');
    const logits = backend.upload(
      scores.map((s) => Math.log(s / (1 - s))),
      await golden.shape('scores'),
    );
    const bias = backend.upload(await golden.floats('e_score_correction_bias'), [config.n_routed_experts]);
    const { indices } = backend.route(logits, bias, {
      scoring: 'sigmoid',
      topK,
      groups: config.n_group,
      topGroups: config.topk_group,
      groupScore: 'top2',
      normalize: true,
      scale: 1,
    });
    const chosen = (await read(indices)) as Int32Array;
    const expected = await golden.integers('topk_routing');
    for (let token = 0; token < expected.length; token += topK) {
      expect([...chosen.subarray(token, token + topK)].sort()).toEqual([...expected.subarray(token, token + topK)]);
    }
  });

  it('ten bias updates and MaxViolation', async () => {
    const experts = config.n_routed_experts;
    const [loads, signs] = [await golden.integers('bias.loads'), await golden.integers('bias.sign')];
    const [after, violations] = [await golden.floats('bias.after'), await golden.floats('bias.max_violation')];
    let bias = await golden.floats('bias.initial');
    violations.forEach((violation, step) => {
      const rows = <T extends Int32Array | Float32Array>(x: T) => x.slice(step * experts, (step + 1) * experts) as T;
      const load = rows(loads);
      const next = updateBias(bias, load, config.bias_update_gamma);
      expect([...next].map((b, i) => Math.sign(b - bias[i]!) + 0)).toEqual([...rows(signs)]);
      expectWithin('bias.after', next, rows(after), 1e-7);
      expect(Math.fround(maxViolation(load))).toBe(violation);
      bias = next;
    });
  });

  it('loads count every choice once', async () => {
    const chosen = await golden.integers('topk_routing');
    const load = expertLoad(chosen, config.n_routed_experts);
    expect(load.reduce((a, b) => a + b)).toBe(chosen.length);
    expect(load[2]).toBe(chosen.filter((expert) => expert === 2).length);
  });
});

describe('edges', () => {
  it('an expert with the mean load keeps its bias, whatever float32 makes of the mean', () => {
    const load = new Int32Array(9).fill(11);
    expect([...updateBias(new Float32Array(9), load, 1e-3)]).toEqual(new Array(9).fill(0));
  });

  it('nothing was routed', () => {
    expect(maxViolation(new Int32Array(4))).toBe(0);
    expect([...expertLoad([], 3)]).toEqual([0, 0, 0]);
  });

  it('refuses experts and sequences that do not exist', () => {
    const backend = reference();
    const scores = backend.upload(new Float32Array(8).fill(0.5), [4, 2]);
    const code = (expected: string) => expect.objectContaining({ code: expected });
    expect(() => expertLoad([0, 3], 3)).toThrow(code('INVALID_ARGUMENT'));
    expect(() => updateBias(new Float32Array(2), [1, 2, 3], 1)).toThrow(code('SHAPE_MISMATCH'));
    expect(() => sequenceBalanceLoss(backend, scores, { topK: 1, alpha: 1, sequenceLengths: [3] })).toThrow(
      code('SHAPE_MISMATCH'),
    );
    expect(() => sequenceBalanceLoss(backend, scores, { topK: 1, alpha: 1, sequenceLengths: [4, 0] })).toThrow(
      code('SHAPE_MISMATCH'),
    );
    expect(() =>
      switchBalanceLoss(backend, backend.upload(new Float32Array(0), [0, 2]), { topK: 1, alpha: 1 }),
    ).toThrow(code('SHAPE_MISMATCH'));
    expect(backend.memory().tensors).toBe(2);
  });
});
