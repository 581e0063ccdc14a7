/** Converted models are the models that they were: written, loaded again, and compared by what they compute. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpu } from '@mariana/backend-cpu';
import { ReferenceBackend } from '@mariana/backend-reference';
import {
  Checkpoint,
  expectedTensors,
  GgufFile,
  MemoryFiles,
  MemorySink,
  parseConfig,
  quantizeBlocks,
  quantizeGroups,
  readJson,
  SafetensorsFile,
  viewAsBytes,
  weightRows,
  weightSource,
  writeSafetensors,
} from '@mariana/core';
import { DirectoryFiles, FileSource } from '@mariana/core/node';
import { fixturePath } from '@mariana/goldens/node';
import type { DeepSeekMoE } from '@mariana/layers';
import { Tokenizer, type TokenizerJson, trainBpe } from '@mariana/tokenizer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convert, SAFETENSORS_WEIGHTS } from '../src/convert/index.ts';
import { Model, type ModelLocation } from '../src/index.ts';
import { asModel } from './support/gguf-goldens.ts';

const backend = new ReferenceBackend();
const PROMPT = [3, 250, 17, 80, 9, 121];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mariana-convert-'));
});

afterAll(() => rm(folder, { recursive: true }));

async function logits(location: ModelLocation, { mtp = false } = {}): Promise<Float32Array> {
  using model = await Model.load(location, { backend, mtp });
  using output = await model.transformer.forward(PROMPT);
  return output.logits!.floats();
}

function relativeError(actual: Float32Array, expected: Float32Array): number {
  let difference = 0;
  let largest = 0;
  expected.forEach((value, i) => {
    difference = Math.max(difference, Math.abs(value - actual[i]!));
    largest = Math.max(largest, Math.abs(value));
  });
  return difference / largest;
}

async function open(path: string) {
  const files = new DirectoryFiles(path);
  return { config: parseConfig(await readJson(files, 'config.json')), weights: await Checkpoint.open(files) };
}

describe('to safetensors', () => {
  it.each(['tiny-dense-moe', 'tiny-fp8', 'tiny-mtp', 'tiny-v2-softmax', 'tiny-sharded'])(
    '%s in BF16 and F32 computes what it computed',
    async (name) => {
      const expected = await logits(fixturePath(name));
      for (const weights of ['bf16', 'f32'] as const) {
        const out = join(folder, `${name}-${weights}`);
        const { files } = await convert(fixturePath(name), out, { to: 'safetensors', weights });
        expect(files).toEqual(['config.json', 'model.safetensors']);
        const error = relativeError(await logits(out), expected);
        // FP8 times a scale has more digits than BF16.
        expect(error).toBeLessThan(name === 'tiny-fp8' && weights === 'bf16' ? 0.2 : 1e-6);
      }
    },
  );

  it.each(['fp8', 'int8', 'int4'] as const)('%s holds what the quantisers of core give, and loads', async (format) => {
    const source = await open(fixturePath('tiny-mtp'));
    const out = join(folder, `tiny-mtp-${format}`);
    await convert(fixturePath('tiny-mtp'), out, { to: 'safetensors', weights: format });
    const { config, weights } = await open(out);
    if (format === 'fp8') expect(config.quantizationConfig).toMatchObject({ weightBlockSize: [128, 128] });
    else
      expect(config.integerQuantization).toEqual({
        quantMethod: 'mariana',
        format,
        groupSize: format === 'int8' ? 128 : 32,
      });
    for (const { name, shape, quantizable } of expectedTensors(source.config)) {
      if (!quantizable) {
        expect(weights.info(name).dtype, name).toBe(source.weights.info(name).dtype);
        expect(await weights.read(name), name).toEqual(await source.weights.read(name));
        continue;
      }
      const [rows, columns] = shape as [number, number];
      const values = await source.weights.readF32(name);
      const { codes, scales } =
        format === 'fp8' ? quantizeBlocks(values, rows, columns) : quantizeGroups(format, values, rows, columns);
      expect(await weights.read(name), name).toEqual(new Uint8Array(viewAsBytes(codes)));
      expect(await weights.readF32(`${name}${format === 'fp8' ? '_scale_inv' : '_scale'}`), name).toEqual(scales);
    }
    await source.weights.close();
    await weights.close();
    await logits(out, { mtp: true });
  });

  it.each(['int8', 'int4'] as const)(
    '%s needs no conversion on the CPU backend: it holds the very codes',
    async (format) => {
      const out = join(folder, `held-${format}`);
      await convert(fixturePath('tiny-dense-moe'), out, { to: 'safetensors', weights: format });
      const { weights } = await open(out);
      const compute = await cpu({ threads: 1 });
      try {
        using model = await Model.load(out, { backend: compute });
        const layer = model.transformer.layers[1]!.feedForward as DeepSeekMoE;
        for (const [expert, weight] of layer.experts.down.entries()) {
          const name = `model.layers.1.mlp.experts.${expert}.down_proj.weight`;
          const stored = await weightRows(weightSource(weights, name, weight.shape)).read(0, weight.shape[0]);
          using held = compute.dequantize(weight);
          expect(weight.format).toBe(format);
          expect(await held.floats()).toEqual(stored);
        }
      } finally {
        compute.dispose();
        await weights.close();
      }
    },
  );

  it('copies what has the format already', async () => {
    const original = await open(fixturePath('tiny-fp8'));
    const out = join(folder, 'fp8-again');
    await convert(fixturePath('tiny-fp8'), out, { to: 'safetensors', weights: 'fp8' });
    const copy = await open(out);
    for (const name of original.weights.names()) {
      expect(await copy.weights.read(name), name).toEqual(await original.weights.read(name));
    }
    expect(copy.config.quantizationConfig).toEqual(original.config.quantizationConfig);
    await original.weights.close();
    await copy.weights.close();

    const gguf = asModel('tiny-dense-moe', 'Q8_0.gguf');
    const int8 = join(folder, 'from-q8_0');
    await convert(gguf, int8, { to: 'safetensors', weights: 'int8' });
    const { config, weights } = await open(int8);
    expect(config.integerQuantization?.groupSize).toBe(32);
    expect(weights.info('lm_head.weight').dtype).toBe('i8');
    expect(weights.info('model.layers.1.mlp.experts.4.up_proj.weight').dtype).toBe('i8');
    await weights.close();
  });

  it('aligns every tensor to its elements, in one file or in several', async () => {
    // Five heads and an odd vocabulary: codes of an odd number of bytes.
    for (const maxShardBytes of [5e9, 60_000]) {
      const out = join(folder, `aligned-${maxShardBytes}`);
      const { files } = await convert(fixturePath('tiny-dense-moe'), out, {
        to: 'safetensors',
        weights: 'int4',
        maxShardBytes,
      });
      const shards = files.filter((file) => file.endsWith('.safetensors'));
      expect(shards.length > 1).toBe(maxShardBytes < 1e6);
      for (const shard of shards) {
        const file = await SafetensorsFile.open(await FileSource.open(join(out, shard)));
        for (const name of file.names()) {
          const info = file.info(name) as unknown as { offset: number; dtype: string };
          const size = { f32: 4, bf16: 2, u8: 1 }[info.dtype]!;
          expect(info.offset % size, name).toBe(0);
        }
        await file.close();
      }
      await logits(out);
    }
  });

  it('takes a GGUF file back to a folder that other programs read', async () => {
    const out = join(folder, 'back');
    const { files } = await convert(asModel('tiny-yarn', 'BF16.gguf'), out, { to: 'safetensors', weights: 'bf16' });
    expect([...files].sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect(relativeError(await logits(out), await logits(fixturePath('tiny-yarn')))).toBe(0);
    const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({
      architectures: ['DeepseekV3ForCausalLM'],
      torch_dtype: 'bfloat16',
      rope_scaling: { type: 'yarn', factor: 40, mscale: 1, mscale_all_dim: 1 },
    });
    expect(config).not.toHaveProperty('quantization_config');
  });
});

describe('to GGUF', () => {
  it.each(['tiny-dense-moe', 'tiny-no-q-lora', 'tiny-v2-softmax', 'tiny-v2-group', 'tiny-yarn-mscale', 'tiny-fp8'])(
    '%s in F32 computes what it computed',
    async (name) => {
      const out = join(folder, `${name}.gguf`);
      const { files, warnings } = await convert(fixturePath(name), out, { to: 'gguf', quant: 'f32' });
      expect(files).toEqual([`${name}.gguf`]);
      expect(warnings).toContainEqual(expect.stringContaining('there is no tokenizer'));
      expect(relativeError(await logits(out), await logits(fixturePath(name)))).toBeLessThan(2e-6);
      using model = await Model.load(out, { backend });
      expect(model.tokenizer).toBeNull();
    },
  );

  it('leaves multi-token-prediction layers out, and says so', async () => {
    const out = join(folder, 'mtp.gguf');
    const { warnings } = await convert(fixturePath('tiny-mtp'), out, { to: 'gguf' });
    expect(warnings).toContainEqual(expect.stringContaining('multi-token-prediction'));
    using model = await Model.load(out, { backend });
    expect(model.config).toMatchObject({ numHiddenLayers: 2, numNextnPredictLayers: 0 });
  });

  it('brings the tokenizer over: ids, special tokens, BOS and chat template', async () => {
    const corpus = ['The cat sat on the mat. The dog sat on the cat.\n', "It isn't 12345, it's 'the' cat's 猫!\n"];
    const tokenizerJson = await trainBpe(corpus, {
      vocabSize: 290,
      specialTokens: ['<s>', '</s>', '<｜User｜>'],
      bosToken: '<s>',
      minFrequency: 1,
    });
    const tokenizerConfig = {
      bos_token: '<s>',
      eos_token: '</s>',
      chat_template: '{{ bos_token }}{{ messages[0].content }}',
    };
    const model = await bigger(
      { vocab_size: 300 },
      {
        'tokenizer.json': JSON.stringify(tokenizerJson),
        'tokenizer_config.json': JSON.stringify(tokenizerConfig),
        'generation_config.json': JSON.stringify({ eos_token_id: [1, 2] }),
      },
    );
    const out = join(folder, 'words.gguf');
    const { warnings } = await convert(model, out, { to: 'gguf', quant: 'bf16' });
    expect(warnings).toEqual([expect.stringContaining('no name for the way in which this tokenizer cuts text')]);
    const before = Tokenizer.fromFiles({ tokenizerJson, tokenizerConfig, generationConfig: { eos_token_id: [1, 2] } });
    using loaded = await Model.load(out, { backend });
    const after = loaded.requireTokenizer();
    for (const text of [...corpus, 'cats  and\tdogs\n\n<｜User｜>hi', "don't 1234567"]) {
      expect(after.encode(text)).toEqual(before.encode(text));
      expect(after.decode(after.encode(text))).toBe(before.decode(before.encode(text)));
    }
    expect(after.eosTokenIds).toEqual(before.eosTokenIds);
    expect(after.applyChatTemplate([{ role: 'user', content: 'hi' }])).toBe('<s>hi');
    const file = await GgufFile.open(await FileSource.open(out));
    expect(file.metadata.get('tokenizer.ggml.add_bos_token')).toEqual({ type: 'bool', value: true });
    expect(file.metadata.get('tokenizer.ggml.eot_token_id')).toEqual({ type: 'u32', value: 2 });
    const tokens = file.metadata.get('tokenizer.ggml.tokens')!.value as string[];
    expect(tokens).toHaveLength(300);
    expect(tokens.slice(-2)).toEqual(['[PAD298]', '[PAD299]']);
    await file.close();
  });

  it('writes a tokenizer whose cuts have a name by that name, and reads the same ids back', async () => {
    const trained = await trainBpe(['the cat the cat the cat'], { vocabSize: 262, specialTokens: ['<s>'] });
    const byName: TokenizerJson = {
      ...trained,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    };
    const model = await bigger({ vocab_size: 262 }, { 'tokenizer.json': JSON.stringify(byName) });
    const out = join(folder, 'gpt2.gguf');
    expect((await convert(model, out, { to: 'gguf' })).warnings).toEqual([]);
    const file = await GgufFile.open(await FileSource.open(out));
    expect(file.metadata.get('tokenizer.ggml.pre')?.value).toBe('gpt-2');
    expect(file.metadata.has('tokenizer.huggingface.json')).toBe(false);
    await file.close();
    using loaded = await Model.load(out, { backend });
    const before = Tokenizer.fromFiles({ tokenizerJson: byName });
    for (const text of ['the cat', ' the the123 cat!', '<s>the']) {
      expect(loaded.requireTokenizer().encode(text)).toEqual(before.encode(text));
    }
  });

  it('refuses a tokenizer with more ids than the model', async () => {
    const tokenizerJson = await trainBpe(['the cat the cat the cat'], { vocabSize: 262, specialTokens: ['<s>'] });
    const model = await bigger({ vocab_size: 258 }, { 'tokenizer.json': JSON.stringify(tokenizerJson) });
    const attempt = convert(model, join(folder, 'small.gguf'), { to: 'gguf' });
    await expect(attempt).rejects.toMatchObject({ code: 'TOKENIZER_INVALID' });
  });
});

/** A small random model with other keys in its config, as files in memory. */
async function bigger(changes: object, files: Readonly<Record<string, string>>): Promise<MemoryFiles> {
  const place = join(folder, `bigger-${crypto.randomUUID()}`);
  await convert('tiny', place, { to: 'safetensors', weights: 'f32' });
  const json = JSON.parse(await readFile(join(place, 'config.json'), 'utf8')) as object;
  const config = { vocab_size: 0, hidden_size: 0, ...json, ...changes };
  const file = await SafetensorsFile.open(await FileSource.open(join(place, 'model.safetensors')));
  const sink = new MemorySink();
  const tensors = file.names().map((name) => {
    const { dtype, shape } = file.info(name);
    const isTable = name === 'model.embed_tokens.weight' || name === 'lm_head.weight';
    if (!isTable) return { name, dtype, shape, data: file.source(name) };
    const size = [config.vocab_size, config.hidden_size];
    return { name, dtype, shape: size, data: new Float32Array(size[0]! * size[1]!).fill(0.01) };
  });
  await writeSafetensors(sink, tensors);
  await file.close();
  return new MemoryFiles({ 'config.json': JSON.stringify(config), 'model.safetensors': sink.bytes(), ...files });
}

describe('a conversion', () => {
  it('reports its progress and ends at the total', async () => {
    for (const options of [
      { to: 'safetensors', weights: 'int8' },
      { to: 'gguf', quant: 'q8_0' },
    ] as const) {
      const seen: number[] = [];
      const out = join(folder, `progress-${options.to}.gguf`);
      const { totalBytes } = await convert(fixturePath('tiny-dense-moe'), out, {
        ...options,
        onProgress: ({ writtenBytes, totalBytes: total }) => {
          expect(total).toBeGreaterThan(0);
          seen.push(writtenBytes);
        },
      });
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      expect(seen.at(-1)).toBe(totalBytes);
    }
  });

  it('leaves what was there when it is stopped or fails', async () => {
    const out = join(folder, 'kept');
    await convert(fixturePath('tiny-dense-moe'), out, { to: 'safetensors', weights: 'bf16' });
    const before = await logits(out);
    const stop = new AbortController();
    const onProgress = ({ writtenBytes }: { writtenBytes: number }) => {
      if (writtenBytes > 50_000) stop.abort(new Error('enough'));
    };
    const stopped = { onProgress, signal: stop.signal };
    await expect(convert(fixturePath('tiny-yarn'), out, { to: 'safetensors', ...stopped })).rejects.toThrow('enough');
    const file = join(folder, 'kept.gguf');
    await writeFile(file, 'precious');
    await expect(convert(fixturePath('tiny-yarn'), file, { to: 'gguf', ...stopped })).rejects.toThrow('enough');
    expect(await readFile(file, 'utf8')).toBe('precious');
    expect(await logits(out)).toEqual(before);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect((await readdir(out)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('can be made in place', async () => {
    const out = join(folder, 'in-place');
    await convert(fixturePath('tiny-dense-moe'), out, { to: 'safetensors', weights: 'f32' });
    const before = await logits(out);
    await convert(out, out, { to: 'safetensors', weights: 'bf16' });
    expect(await logits(out)).toEqual(before);
  });

  it('refuses options and places that make no sense', async () => {
    const place = fixturePath('tiny-dense-moe');
    const bad = (options: object) => convert(place, join(folder, 'x'), options as never);
    await expect(bad({ to: 'onnx' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(bad({ to: 'gguf', quant: 'int8' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(bad({ to: 'safetensors', weights: 'q8_0' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const file = join(folder, 'a-file');
    await writeFile(file, '');
    const attempt = convert(place, join(file, 'inside'), { to: 'safetensors' });
    await expect(attempt).rejects.toMatchObject({ code: 'FILE_WRITE_FAILED' });
    await expect(convert(join(folder, 'nothing'), 'x', { to: 'gguf' })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });

  it('knows its formats', async () => {
    for (const weights of SAFETENSORS_WEIGHTS) {
      await convert('tiny', join(folder, `preset-${weights}`), { to: 'safetensors', weights, seed: 7 });
      using model = await Model.load(join(folder, `preset-${weights}`), { backend });
      expect(model.tokenizer?.vocabSize).toBe(256);
    }
  });
});
