/** `mariana inspect`: figures that were published, and the state of a folder's files. */
import { rmSync } from 'node:fs';
import { fixturePath } from '@mariana/goldens/node';
import { expect, test } from 'vitest';
import { batch, json, mariana } from './program.ts';
import { copyModel, scratchFolder } from './scratch.ts';

const scratch = scratchFolder();

test('DeepSeek-V3 by its preset', async () => {
  const outcome = await mariana(['inspect', 'deepseek-v3', '--json']);
  const result = json(outcome);
  expect(outcome.stdout.trim().split('\n')).toHaveLength(1);
  expect(result).toMatchObject({ source: 'deepseek-v3', kind: 'preset', checkpoint: null });
  expect((result.parameters.total / 1e9).toFixed(2)).toBe('671.03');
  expect(Math.round(result.parameters.active / 1e9)).toBe(37);
  expect((result.parameters.mtp.own / 1e9).toFixed(1)).toBe('11.6');
  expect(result.activeShare).toBe(result.parameters.active / result.parameters.total);
  expect(result.kvBytesPerToken).toEqual({ latent: 70_272, multiHead: 4_997_120 });
  expect(Object.keys(result.weightBytes)).toEqual(['f32', 'bf16', 'fp8', 'int8', 'int4']);
  const { fp8, bf16 } = result.weightBytes;
  expect(fp8.total).toBeLessThan(bf16.total * 0.51);
  // DeepSeek-V3's published files: 688,586,727,753 bytes by their index.
  expect(fp8.total / 688_586_727_753).toBeCloseTo(1, 3);
  const { embedding, head, attention, denseMlp, routedExperts, sharedExperts, router, norms } = result.parameters;
  const parts = [embedding, head, attention.total, denseMlp, routedExperts, sharedExperts, router, norms];
  expect(parts.reduce((sum, part) => sum + part, 0)).toBe(result.parameters.total);
});

test('operations grow with the context, and generating is cheaper in the latent', async () => {
  const [short, long] = await batch([
    ['inspect', 'deepseek-v3', '--json', '--context', '1000'],
    ['inspect', 'deepseek-v3', '--json', '--context', '100000'],
  ]);
  const [a, b] = [json(short!).flopsPerToken, json(long!).flopsPerToken];
  expect([a.contextLength, b.contextLength]).toEqual([1000, 100_000]);
  expect(b.decode.absorbed.total).toBeGreaterThan(a.decode.absorbed.total);
  expect(a.decode.absorbed.total).toBeLessThan(a.decode.naive.total);
  expect(a.prefill.naive.total).toBeLessThan(a.prefill.absorbed.total);
});

test('a folder: its weights are counted and held against the config', async () => {
  const [mtp, fp8, sharded] = await batch(
    ['tiny-mtp', 'tiny-fp8', 'tiny-sharded'].map((golden) => ['inspect', fixturePath(golden), '--json']),
  );
  expect(json(mtp!)).toMatchObject({ kind: 'checkpoint', checkpoint: { mtp: true, fp8Weights: 0, tokenizer: false } });
  const found = json(fp8!).checkpoint;
  expect(found.fp8Weights).toBeGreaterThan(0);
  expect(found.dtypes.e4m3).toBe(found.fp8Weights);
  expect(found.bytes).toBe(json(fp8!).weightBytes.fp8.total);
  expect(json(sharded!).checkpoint.bytes).toBe(json(sharded!).weightBytes.bf16.total);
});

test('a config.json, or a folder that has nothing else', async () => {
  const model = copyModel('tiny-dense-moe', `${scratch}/config`);
  rmSync(`${model}/model.safetensors`);
  const [file, folder] = await batch([
    ['inspect', `${model}/config.json`, '--json'],
    ['inspect', model, '--json'],
  ]);
  expect(json(file!)).toMatchObject({ kind: 'config', checkpoint: null });
  expect(json(folder!).parameters).toEqual(json(file!).parameters);
});

test('people get a report', async () => {
  const { code, stdout, stderr } = await mariana(['inspect', fixturePath('tiny-mtp')]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/total +150\.5 K/);
  expect(stdout).toMatch(/latent.* 160\n/);
  expect(stdout).toContain('Files: complete, and they fit the config');
});
