import { readFile, stat } from 'node:fs/promises';
import { type CpuBackend, cpu } from '@mariana/backend-cpu';
import { countParameters } from '@mariana/core';
import { Model, type Session, score } from '@mariana/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { storiesFiles, storiesModel } from '../src/index.ts';
import { unseen } from './unseen.ts';

let backend: CpuBackend;
let model: Model;

beforeAll(async () => {
  backend = await cpu({ threads: 2 });
  model = await Model.load(storiesModel, { backend, mtp: true });
});

afterAll(() => {
  model.dispose();
  backend.dispose();
});

describe('the checkpoint', () => {
  test('is small enough to come along', async () => {
    const sizes = await Promise.all(storiesFiles.map(async (name) => (await stat(new URL(name, storiesModel))).size));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(12e6);
  });

  test("is DeepSeek-V3's architecture, in FP8 as DeepSeek ships it", async () => {
    const { config } = model;
    expect(config.nRoutedExperts).toBeGreaterThanOrEqual(16);
    expect(config.numNextnPredictLayers).toBe(1);
    expect(config.kvLoraRank).toBeGreaterThan(0);
    expect(countParameters(config).active).toBeLessThan(countParameters(config).total / 2);
    const json = JSON.parse(await readFile(new URL('config.json', storiesModel), 'utf8'));
    expect(json.quantization_config).toMatchObject({ quant_method: 'fp8', fmt: 'e4m3', weight_block_size: [128, 128] });
  });
});

describe('the text', () => {
  test('of stories it has not seen is predicted well', async () => {
    let [bits, bytes] = [0, 0];
    for (const text of unseen) {
      const { totalLogprob } = await score(model, model.requireTokenizer().encode(text));
      bits -= totalLogprob / Math.LN2;
      bytes += new TextEncoder().encode(text).length;
    }
    expect(bits / bytes).toBeLessThan(1.05);
  });

  test('is made of words and ends by itself', async () => {
    using session = model.session();
    const generation = session.generate('Once upon a time', { maxTokens: 400, temperature: 0.7, seed: 1 });
    let text = '';
    for await (const chunk of generation) text += chunk.text;
    const words = text.toLowerCase().match(/[a-z]+/g)!;
    const known = new Set(
      unseen
        .join(' ')
        .toLowerCase()
        .match(/[a-z]+/g),
    );
    expect(words.length).toBeGreaterThan(50);
    // Most words of any story are among those few that every story has.
    expect(words.filter((word) => known.has(word)).length / words.length).toBeGreaterThan(0.5);
  });

  test('is drafted well by multi-token prediction, which changes none of it', async () => {
    const tell = async (session: Session, prompt: string) => {
      let text = '';
      for await (const chunk of session.generate(prompt, { maxTokens: 150, temperature: 0 })) text += chunk.text;
      return text;
    };
    let [drafted, accepted] = [0, 0];
    for (const prompt of ['Once upon a time', 'One day, a little girl', 'Tom and Anna']) {
      using plain = model.session();
      using session = model.session({ speculate: true });
      expect(await tell(session, prompt)).toBe(await tell(plain, prompt));
      drafted += session.speculation.drafted;
      accepted += session.speculation.accepted;
    }
    expect(accepted / drafted).toBeGreaterThan(0.6);
  });
});
