/** Main and MTP loss and every gradient against the fixture train-mtp. */
import { type Backend, parseConfig, type Tensor } from '@mariana/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  autodiff,
  crossEntropy,
  depthRows,
  modelLoss,
  multiTokenPredictionLoss,
  TrainableModel,
} from '../src/index.ts';
import { expectRelative, expectWithin, GOLDEN_BACKENDS, Golden } from './support/golden.ts';

const golden = await Golden.open('train-mtp');
const config = parseConfig(await golden.config());
const tokens = await golden.integers('tokens');
const LAMBDA = 0.3;

async function load(inner: Backend) {
  const backend = autodiff(inner);
  const model = await TrainableModel.load(config, await golden.weights(), { backend });
  return { inner, backend, model };
}

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';

describe.each(GOLDEN_BACKENDS)('train-mtp on %s', { timeout: 300_000 }, (_, create) => {
  let own: Backend;
  beforeAll(async () => {
    own = await create();
  });
  afterAll(() => own.dispose());

  it('logits, hidden states and cross-entropies of both predictions', async () => {
    const { backend, model } = await load(own);
    using main = await model.transformer.forward(tokens.subarray(0, -1));
    expectWithin('main.logits', await main.logits!.read(), await golden.floats('main.logits'), 2e-4);
    const { rowsPerSequence, nextIds, targets } = depthRows(tokens, 1, 1);
    using ids = backend.upload(nextIds, [nextIds.length]);
    using hidden = backend.slice(main.hidden, 0, 0, rowsPerSequence);
    const mtp = await model.transformer.mtp[0]!.forward({ nextIds: ids, hidden });
    expectWithin('mtp.logits', await mtp.logits.read(), await golden.floats('mtp.logits'), 2e-4);
    expectWithin('mtp.hidden', await mtp.hidden.read(), await golden.floats('mtp.hidden'), 2e-4);
    const check = async (name: string, logits: Tensor, ids: Int32Array) => {
      const { perToken } = crossEntropy(backend, logits, ids);
      expectWithin(name, await perToken.read(), await golden.floats(name), 1e-5);
    };
    await check('main.ce', main.logits!, tokens.subarray(1));
    await check('mtp.ce', mtp.logits, targets);
    const { perDepth, weighted } = multiTokenPredictionLoss(backend, [{ logits: mtp.logits, targets }], {
      positions: tokens.length - 1,
      weight: LAMBDA,
    });
    expectWithin('loss.mtp', await perDepth[0]!.read(), await golden.floats('loss.mtp'), 1e-5);
    const share = (await golden.floats('loss.mtp')).map((loss) => LAMBDA * loss);
    expectWithin('weighted', await weighted.read(), share, 1e-5);
  });

  it('loss and every gradient', async () => {
    const { inner, backend, model } = await load(own);
    const before = inner.memory();
    {
      using loss = await modelLoss(model, { tokens, sequences: 1 }, { mtpWeight: LAMBDA });
      expectWithin('main', await loss.crossEntropy.read(), await golden.floats('loss.main'), 1e-5);
      expectWithin('mtp', await loss.mtp[0]!.read(), await golden.floats('loss.mtp'), 1e-5);
      expectWithin('total', await loss.total.read(), await golden.floats('loss.total'), 1e-5);
      const gradients = backend.backward(loss.total);
      const names = await golden.names('grads.safetensors');
      expect([...model.parameters.keys()].sort()).toEqual([...names].sort());
      for (const [name, { tensor }] of model.parameters) {
        using gradient = gradients.get(tensor)!;
        expectRelative(name, await gradient.read(), await golden.floats(name, 'grads.safetensors'), 2e-5);
      }
    }
    expect(inner.memory()).toEqual(before);
  });

  it('embedding and head are one parameter each, and collect from both predictions', async () => {
    const { backend, model } = await load(own);
    expect(model.parameters.get(EMBEDDING)!.copies).toEqual(['model.layers.2.embed_tokens.weight']);
    expect(model.parameters.get(HEAD)!.copies).toEqual(['model.layers.2.shared_head.head.weight']);
    const gradientsOf = async (mtpWeight: number) => {
      using loss = await modelLoss(model, { tokens, sequences: 1 }, { mtpWeight });
      const gradients = backend.backward(loss.total);
      const read = async (name: string) =>
        (await gradients.get(model.parameters.get(name)!.tensor)!.read()) as Float32Array;
      return { embed: await read(EMBEDDING), head: await read(HEAD) };
    };
    const [main, both] = [await gradientsOf(0), await gradientsOf(LAMBDA)];
    expectRelative('embed.main', main.embed, await golden.floats('part.embed.main'), 2e-5);
    expectRelative('head.main', main.head, await golden.floats('part.lm_head.main'), 2e-5);
    const [trunk, direct] = [await golden.floats('part.embed.mtp_trunk'), await golden.floats('part.embed.mtp_direct')];
    const ofMtp = both.embed.map((value, i) => value - main.embed[i]!);
    expectRelative(
      'embed.mtp',
      ofMtp,
      trunk.map((value, i) => value + direct[i]!),
      2e-5,
    );
    const headOfMtp = both.head.map((value, i) => value - main.head[i]!);
    expectRelative('head.mtp', headOfMtp, await golden.floats('part.lm_head.mtp'), 2e-5);
  });

  it('experts without a token have gradient zero', async () => {
    const { backend, model } = await load(own);
    using loss = await modelLoss(model, { tokens, sequences: 1 });
    const idle = [...loss.load].flatMap(([layer, load]) =>
      [...load.entries()].filter(([, count]) => count === 0).map(([expert]) => ({ layer, expert })),
    );
    expect(idle).toHaveLength(1);
    const gradients = backend.backward(loss.total);
    for (const { layer, expert } of idle) {
      const name = `model.layers.${layer}.mlp.experts.${expert}.down_proj.weight`;
      const gradient = await gradients.get(model.parameters.get(name)!.tensor)!.read();
      expect([...gradient].every((value) => value === 0)).toBe(true);
    }
  });
});

describe.each(GOLDEN_BACKENDS)('batches on %s', { timeout: 300_000 }, (_, create) => {
  let own: Backend;
  beforeAll(async () => {
    own = await create();
  });
  afterAll(() => own.dispose());

  it('of several sequences give the mean of their losses', async () => {
    const { model } = await load(own);
    const pair = Int32Array.of(...tokens, ...tokens.map((token) => (token * 7 + 3) % config.vocabSize));
    const lossOf = async (rows: Int32Array, sequences: number) => {
      using loss = await modelLoss(model, { tokens: rows, sequences }, { sequenceAlpha: 0.1 });
      const read = async (tensor: Tensor) => (await tensor.read())[0]!;
      return [
        await read(loss.total),
        await read(loss.crossEntropy),
        await read(loss.mtp[0]!),
        await read(loss.balance!),
      ];
    };
    const [first, second] = [await lossOf(tokens, 1), await lossOf(pair.subarray(tokens.length), 1)];
    const mean = first.map((value, i) => (value + second[i]!) / 2);
    expectRelative('losses', await lossOf(pair, 2), mean, 1e-6);
  });

  it('that are too short, or not whole, are refused', async () => {
    const { inner, model } = await load(own);
    const before = inner.memory();
    const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    await expect(modelLoss(model, { tokens: tokens.subarray(0, 7), sequences: 2 })).rejects.toEqual(invalid);
    await expect(modelLoss(model, { tokens: tokens.subarray(0, 1), sequences: 1 })).rejects.toEqual(invalid);
    // Long enough for the main model, not for depth 1.
    await expect(modelLoss(model, { tokens: tokens.subarray(0, 2), sequences: 1 })).rejects.toEqual(invalid);
    const outside = expect.objectContaining({ code: 'TOKEN_OUT_OF_RANGE' });
    await expect(modelLoss(model, { tokens: Int32Array.of(1, 2, 3, 9999), sequences: 1 })).rejects.toEqual(outside);
    expect(inner.memory()).toEqual(before);
  });
});
