/** Loading: from every kind of place the same model, and after a failure nothing. */
import { readdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { cpu } from '@mariana/backend-cpu';
import { ReferenceBackend, reference } from '@mariana/backend-reference';
import { type Backend, countParameters, parseConfig, readJson } from '@mariana/core';
import { fixturePath } from '@mariana/goldens/node';
import { describe, expect, test } from 'vitest';
import { type LoadProgress, Model, type ModelLocation } from '../src/index.ts';
import { chunksOf, expectClose, freshLogits, goldenModel } from './support/models.ts';
import { inMemory, serve, watched } from './support/places.ts';

const FOLDER = fixturePath('tiny-dense-moe');
const SHARDED = fixturePath('tiny-sharded');

describe('places', async () => {
  using golden = await goldenModel();
  const expected = await freshLogits(golden, [1, 2, 3]);

  async function expectSame(location: ModelLocation): Promise<void> {
    using model = await Model.load(location, { backend: reference() });
    expect(model.isRandom).toBe(false);
    expectClose(await freshLogits(model, [1, 2, 3]), expected);
  }

  test('a folder, by path', () => expectSame(FOLDER));
  test('a folder, by file URL', () => expectSame(pathToFileURL(FOLDER)));
  test('a folder, by file URL in a string', () => expectSame(pathToFileURL(FOLDER).href));
  test('files in memory', async () => expectSame(await inMemory(FOLDER)));

  test('a web server, of which only ranges are read', async () => {
    await using server = await serve(FOLDER);
    await expectSame(server.url);
    await expectSame(new URL(`${server.url}/`));
    const weights = server.requests.filter((request) => request.includes('model.safetensors'));
    expect(weights.some((request) => /^GET .* bytes=\d+-\d+$/.test(request))).toBe(true);
    expect(weights.filter((request) => /^GET [^ ]+$/.test(request))).toEqual([]);
  });

  test('a web server with shards', async () => {
    await using server = await serve(SHARDED);
    using model = await Model.load(server.url, { backend: reference() });
    using local = await Model.load(SHARDED, { backend: reference() });
    expectClose(await freshLogits(model, [9, 8]), await freshLogits(local, [9, 8]));
  });

  test('a server without the model', async () => {
    await using server = await serve(fixturePath(''));
    const loading = Model.load(`${server.url}/nothing`, { backend: reference() });
    await expect(loading).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining('nothing'),
    });
  });
});

describe('presets', () => {
  test('random weights, the same for the same seed, and a tokenizer of bytes', async () => {
    using model = await Model.load('tiny', { backend: reference() });
    using same = await Model.load('tiny', { backend: reference(), seed: 0 });
    using other = await Model.load('tiny', { backend: reference(), seed: 1 });
    expect(model.isRandom).toBe(true);
    expect(model.name).toBe('preset tiny');
    expect(model.requireTokenizer().decode(model.requireTokenizer().encode('Mariana'))).toBe('Mariana');
    const logits = await freshLogits(model, [1, 2]);
    expect(await freshLogits(same, [1, 2])).toEqual(logits);
    expect(await freshLogits(other, [1, 2])).not.toEqual(logits);
  });

  test('with multi-token prediction', async () => {
    using model = await Model.load('tiny-mtp', { backend: reference(), mtp: true });
    expect(model.transformer.mtp).toHaveLength(1);
    await expect(Model.load('tiny', { backend: reference(), mtp: true })).rejects.toMatchObject({
      code: 'TENSOR_MISSING',
    });
  });
});

test.each<[string, string, string, RegExp]>([
  ['a name that is nothing', 'no-such-model', 'FILE_NOT_FOUND', /no-such-model.*tiny/],
  ['an address of another kind', 's3://bucket/model', 'INVALID_ARGUMENT', /http/],
  ['a broken address', 'https://', 'INVALID_ARGUMENT', /https/],
  ['a folder without a config', fixturePath(''), 'FILE_NOT_FOUND', /config\.json/],
])('%s is refused', async (_, location, code, message) => {
  const loading = Model.load(location, { backend: reference() });
  await expect(loading).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

test('progress counts the bytes of the weights, from none to all', async () => {
  const seen: LoadProgress[] = [];
  using _ = await Model.load(FOLDER, { backend: reference(), onProgress: (progress) => void seen.push(progress) });
  const { totalBytes } = seen[0]!;
  expect(totalBytes).toBe(459_912 - 9952 - 8); // the file, without its header
  expect(seen[0]).toEqual({ loadedBytes: 0, totalBytes });
  expect(seen.at(-1)).toEqual({ loadedBytes: totalBytes, totalBytes });
  expect(seen.every((one, i) => i === 0 || one.loadedBytes >= seen[i - 1]!.loadedBytes)).toBe(true);
});

/** A backend that says how much it can hold. */
class SmallBackend extends ReferenceBackend {
  override readonly capabilities;

  constructor(memoryBudget: number | undefined, threads = 1) {
    super();
    this.capabilities = { weightFormats: ['f32'], threads, shaderF16: false, memoryBudget } as const;
  }
}

describe('what does not fit is said before it is read', async () => {
  // As this backend holds them: everything in F32.
  const bytes = 4 * countParameters(parseConfig(await readJson(await inMemory(FOLDER), 'config.json'))).total;

  test('with the figures, having read no more than headers', async () => {
    const { files, seen } = watched(await inMemory(FOLDER));
    const backend = new SmallBackend(500_000);
    let progress = 0;
    const loading = Model.load(files, { backend, onProgress: () => void progress++ });
    await expect(loading).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringMatching(/take 0\.86 MiB on backend reference, which has 0\.48 MiB left/),
      details: { bytes, free: 500_000 },
    });
    expect(seen.bytes).toBeLessThan(40_000);
    expect(progress).toBe(0);
    expect(backend.memory()).toEqual({ tensors: 0, bytes: 0 });
  });

  test('what just fits is loaded', async () => {
    using model = await Model.load(FOLDER, { backend: new SmallBackend(bytes) });
    expect(model.backend.memory().bytes).toBe(bytes);
  });

  test('a backend on the host that states no budget has that of the host; a device is taken at its word', async () => {
    const loading = Model.load('deepseek-v3', { backend: new SmallBackend(undefined) });
    await expect(loading).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    // A device may hold more than the host: loading begins, until it is stopped.
    const device = new SmallBackend(undefined, 0);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(Model.load('small', { backend: device, signal })).rejects.toThrow('enough');
    expect(device.memory()).toEqual({ tensors: 0, bytes: 0 });
  });
});

const BACKENDS: Record<string, () => Promise<Backend>> = {
  reference: async () => reference(),
  cpu: () => cpu({ threads: 1 }),
};

describe.each(Object.entries(BACKENDS))('a failing load on %s leaves nothing behind', (_, create) => {
  test.each(['tiny-mtp', 'tiny-fp8'])('%s, wherever it fails', async (folder) => {
    const backend = await create();
    const before = backend.memory();
    const whole = watched(await inMemory(fixturePath(folder)));
    const mtp = folder === 'tiny-mtp';
    using complete = await Model.load(whole.files, { backend, mtp });
    expect(backend.memory().tensors).toBeGreaterThan(before.tensors);
    complete.dispose();
    expect(backend.memory()).toEqual(before);
    expect(whole.seen.reads).toBeGreaterThan(50);
    for (let failAfter = 0; failAfter < whole.seen.reads; failAfter += 3) {
      const { files } = watched(await inMemory(fixturePath(folder)), { failAfter });
      await expect(Model.load(files, { backend, mtp })).rejects.toThrow('the cable was pulled');
      expect({ failAfter, ...backend.memory() }).toEqual({ failAfter, ...before });
    }
    backend.dispose();
  });

  test('an abort while it loads', async () => {
    const backend = await create();
    const before = backend.memory();
    const controller = new AbortController();
    const onProgress = ({ loadedBytes, totalBytes }: LoadProgress) => {
      if (loadedBytes > totalBytes / 2) controller.abort();
    };
    const loading = Model.load(FOLDER, { backend, onProgress, signal: controller.signal });
    await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
    expect(backend.memory()).toEqual(before);
    backend.dispose();
  });
});

test('a model gives back weights, caches and files when it is disposed', async () => {
  const openFiles = () => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0);
  const backend = reference();
  const before = openFiles();
  for (let i = 0; i < 3; i++) {
    using model = await Model.load(SHARDED, { backend });
    using session = model.session();
    await chunksOf(session, [1, 2, 3], { maxTokens: 3 });
  }
  expect(backend.memory()).toEqual({ tensors: 0, bytes: 0 });
  await expect.poll(openFiles).toBeLessThanOrEqual(before);
});
