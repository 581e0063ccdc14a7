/** Loss and every gradient of a whole model, and six steps of plain SGD, against the fixture moe-train. */
import { type Backend, parseConfig } from '@mariana/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { autodiff, modelLoss, TrainableModel } from '../src/index.ts';
import { expectRelative, expectWithin, GOLDEN_BACKENDS, Golden } from './support/golden.ts';

const golden = await Golden.open('moe-train');
const config = parseConfig(await golden.config());
const tokens = await golden.integers('input_ids');
const batch = { tokens, sequences: 1 };

async function load(inner: Backend) {
  const backend = autodiff(inner);
  const model = await TrainableModel.load(config, await golden.weights(), { backend });
  return { inner, backend, model };
}

describe.each(GOLDEN_BACKENDS)('moe-train on %s', { timeout: 300_000 }, (_, create) => {
  let own: Backend;
  beforeAll(async () => {
    own = await create();
  });
  afterAll(() => own.dispose());

  it('logits and routing of the forward pass', async () => {
    const { backend, model } = await load(own);
    const routed = new Map<number, Int32Array>();
    using output = await model.transformer.forward(tokens, {
      async onRouting(layer, { indices }) {
        routed.set(layer, (await indices.read()) as Int32Array);
      },
    });
    expectWithin('logits', await output.logits!.read(), await golden.floats('logits'), 2e-4);
    const k = config.numExpertsPerTok;
    for (const [layer, chosen] of routed) {
      const sorted: number[] = [];
      for (let t = 0; t < chosen.length; t += k) sorted.push(...chosen.slice(t, t + k).sort());
      expect(sorted).toEqual([...(await golden.integers(`layer${layer}.topk_indices`))]);
    }
    expect([...routed.keys()]).toEqual([1, 2]);
    expect(backend.isTracked(output.logits!)).toBe(true);
    model.dispose();
  });

  it('loss and every gradient', async () => {
    const { inner, backend, model } = await load(own);
    const before = inner.memory();
    {
      using loss = await modelLoss(model, batch);
      expectRelative('loss', await loss.total.read(), await golden.floats('loss'), 1e-6);
      const gradients = backend.backward(loss.total);
      const names = await golden.names('grads.safetensors');
      expect([...model.parameters.keys()].sort()).toEqual([...names].sort());
      for (const [name, { tensor }] of model.parameters) {
        using gradient = gradients.get(tensor)!;
        expect(gradient.shape, name).toEqual(await golden.shape(name, 'grads.safetensors'));
        // Far inside the README's 1e-5 + 1e-3 * max, and the 1e-4 that issue 5 asks for.
        expectRelative(name, await gradient.read(), await golden.floats(name, 'grads.safetensors'), 2e-5);
      }
    }
    expect(inner.memory()).toEqual(before);
    model.dispose();
    expect(inner.memory()).toEqual({ tensors: 0, bytes: 0 });
    expect(backend.memory().tensors).toBe(0);
  });

  it('six losses of plain SGD', async () => {
    const { backend, model } = await load(own);
    const expected = await golden.floats('sgd_losses');
    for (const [step, expectedLoss] of expected.entries()) {
      using loss = await modelLoss(model, batch);
      expectRelative(`loss before step ${step}`, await loss.total.read(), [expectedLoss], 1e-5);
      const gradients = backend.backward(loss.total);
      for (const [name, { tensor }] of model.parameters) {
        using gradient = gradients.get(tensor)!;
        const next = backend.untracked(() =>
          backend.scope(() => {
            const rate = backend.upload(Float32Array.of(0.05), []);
            return backend.binary('sub', tensor, backend.binary('mul', gradient, rate));
          }),
        );
        model.set(name, next);
      }
    }
    model.dispose();
  });
});
