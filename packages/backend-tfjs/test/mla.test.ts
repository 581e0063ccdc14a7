/** One attention layer in the middle of a program that is otherwise plain TensorFlow.js, against the golden values. */
import { Golden } from '@mariana/goldens';
import { openFixture } from '@mariana/goldens/node';
import { MultiHeadLatentAttention } from '@mariana/layers';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TfjsBackend, tfjs } from '../src/index.ts';

const LAYER = 1;
let golden: Golden;

beforeAll(async () => {
  golden = await Golden.open('tiny-dense-moe', openFixture);
});
afterAll(() => golden.close());

/** RMSNorm of the layer's input, in tfjs ops. */
async function normedInput(prompt: string): Promise<tf.Tensor2D> {
  const weight = await golden.weights.readF32(`model.layers.${LAYER}.input_layernorm.weight`);
  const hidden = await golden.floats(`${prompt}.hidden.${LAYER}`);
  return tf.tidy(() => {
    const x = tf.tensor2d(hidden, [hidden.length / weight.length, weight.length]);
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), 1, true), golden.config.rmsNormEps));
    return tf.mul(tf.mul(x, inverse), weight);
  });
}

describe.each(['cpu', 'wasm'] as const)('MLA in a tfjs program on %s', (engine) => {
  let backend: TfjsBackend<tf.Tensor>;
  beforeAll(async () => {
    backend = await tfjs({ tf, engine });
  });

  async function expectClose(actual: tf.Tensor, expected: Float32Array): Promise<void> {
    const values = await actual.data();
    expect(values.length).toBe(expected.length);
    const bad = values.findIndex(
      (value, i) => !(Math.abs(value - expected[i]!) <= 2e-4 + 2e-4 * Math.abs(expected[i]!)),
    );
    expect(bad < 0 ? '' : `element ${bad} is ${values[bad]}, not ${expected[bad]}`).toBe('');
  }

  test.each(['p0', 'p1'])('a whole prompt at once (%s)', async (prompt) => {
    const before = tf.memory().numTensors;
    const { config, weights } = golden;
    {
      using attention = await MultiHeadLatentAttention.load(config, weights, { layer: LAYER, backend });
      const input = await normedInput(prompt);
      using x = backend.adopt(input);
      using y = await attention.forward(x);
      const output = backend.toTf(y);
      await expectClose(output, await golden.floats(`${prompt}.layer${LAYER}.attn_out`));
      tf.dispose([input, output]);
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  test('token by token against a cache, in both forms', async () => {
    const before = tf.memory().numTensors;
    const { config, weights } = golden;
    const expected = await golden.floats(`p0.layer${LAYER}.attn_out`);
    for (const form of ['naive', 'absorbed'] as const) {
      using attention = await MultiHeadLatentAttention.load(config, weights, { layer: LAYER, backend });
      using cache = attention.createCache({ tokens: 16 });
      const input = await normedInput('p0');
      for (const [i, row] of tf.tidy(() => tf.unstack(tf.expandDims(input, 1))).entries()) {
        using x = backend.adopt(row);
        using y = await attention.forward(x, { cache, form });
        const output = backend.toTf(y);
        await expectClose(output, expected.subarray(i * config.hiddenSize, (i + 1) * config.hiddenSize));
        tf.dispose([row, output]);
      }
      input.dispose();
    }
    expect(tf.memory().numTensors).toBe(before);
  });
});
