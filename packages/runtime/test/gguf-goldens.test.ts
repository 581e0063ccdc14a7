/** GGUF files by other programs: values, logits and tokens as their READMEs promise them (test/fixtures/gguf). */
import { createHash } from 'node:crypto';
import { cpu } from '@mariana/backend-cpu';
import { ReferenceBackend } from '@mariana/backend-reference';
import {
  type Backend,
  BLOCK_LAYOUTS,
  GgufFile,
  isBlockFormat,
  MemorySource,
  readBytes,
  type SafetensorsFile,
  viewAsBytes,
} from '@mariana/core';
import { Golden } from '@mariana/goldens';
import { openFixture } from '@mariana/goldens/node';
import { describe, expect, it, test } from 'vitest';
import { argmax, Model } from '../src/index.ts';
import {
  ABSENT,
  asModel,
  expectedValues,
  GGUF_GOLDENS,
  type GgufGolden,
  k256Source,
  readGolden,
  WHOLE_SET,
} from './support/gguf-goldens.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

function openFile(folder: string, file: string): Promise<GgufFile> {
  return GgufFile.open(new MemorySource(readGolden(folder, file), `${folder}/${file}`));
}

/** Prompts of a folder with the logits and tokens that a file must give, [ids, logits, tokens] each. */
async function expectations({ folder, expected }: GgufGolden): Promise<[number[], Float32Array, number[]][]> {
  const values = await expectedValues(folder);
  const prompts = ['p0.', 'p1.', ''].filter((prompt) => values.has(`${prompt}input_ids`));
  const integers = async (file: SafetensorsFile, name: string) => [...(await file.readF32(name))];
  if (expected.by === 'llama.cpp') {
    return Promise.all(
      prompts.map(async (prompt) => [
        await integers(values, `${prompt}input_ids`),
        await values.readF32(prompt + expected.logits),
        await integers(values, prompt + expected.tokens),
      ]),
    );
  }
  const golden = await Golden.open(folder, openFixture);
  try {
    return await Promise.all(
      golden.prompts.map(async (prompt) => [
        [...(await golden.integers(`${prompt}.input_ids`))],
        await golden.floats(`${prompt}.logits`),
        [...(await golden.integers(`${prompt}.greedy_tokens`))],
      ]),
    );
  } finally {
    await golden.close();
  }
}

async function logitsOf(model: Model, ids: readonly number[]): Promise<Float32Array> {
  using output = await model.transformer.forward(ids);
  return output.logits!.floats();
}

/** Greedy tokens after a prompt, whatever the end-of-text token says. */
async function greedy(model: Model, ids: readonly number[], count: number): Promise<number[]> {
  using session = model.session();
  await session.append(ids);
  const tokens: number[] = [];
  while (tokens.length < count) {
    tokens.push(argmax(await session.nextLogits()));
    session.push(tokens.at(-1)!);
  }
  return tokens;
}

/** The largest difference, relative to the largest expected value. */
function relativeError(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  let largest = 0;
  let difference = 0;
  for (const [i, value] of expected.entries()) {
    largest = Math.max(largest, Math.abs(value));
    difference = Math.max(difference, Math.abs(value - actual[i]!));
  }
  return difference / largest;
}

async function check(golden: GgufGolden, backend: Backend): Promise<void> {
  const before = backend.memory().tensors;
  const model = await Model.load(asModel(golden.folder, golden.file), { backend });
  try {
    for (const [ids, logits, tokens] of await expectations(golden)) {
      expect(relativeError(await logitsOf(model, ids), logits)).toBeLessThan(2e-4);
      expect(await greedy(model, ids, tokens.length)).toEqual(tokens);
    }
  } finally {
    model.dispose();
  }
  expect(backend.memory().tensors).toBe(before);
}

describe.each(GGUF_GOLDENS)('$folder/$file', (golden) => {
  it('gives the logits and tokens of its README on the reference backend', async () => {
    await check(golden, new ReferenceBackend());
  });

  it('gives them on the CPU backend too', async () => {
    const backend = await cpu({ weights: 'f32', threads: 1 });
    try {
      await check(golden, backend);
    } finally {
      backend.dispose();
    }
  });
});

describe.each(GGUF_GOLDENS.filter(({ file }) => /Q|model/.test(file)))('$folder/$file', ({ folder, file }) => {
  const json = JSON.parse(new TextDecoder().decode(readGolden(folder, 'expected.json'))) as {
    dequant_sha256: Record<string, string> | Record<string, Record<string, string>>;
    raw_sha256?: Record<string, string>;
    types?: Record<string, string>;
  };
  const type = file.replace('.gguf', '');
  const dequantised = (json.dequant_sha256[type] ?? json.dequant_sha256) as Record<string, string>;

  it('decodes every tensor to the bit', async () => {
    const gguf = await openFile(folder, file);
    expect([...gguf.names()].sort()).toEqual(Object.keys(dequantised).sort());
    for (const name of gguf.names()) {
      const values = await gguf.readF32(name);
      expect(sha256(viewAsBytes(values)), name).toBe(dequantised[name]);
      if (json.types !== undefined) expect(gguf.entry(name).type.name).toBe(json.types[name]);
      if (json.raw_sha256 !== undefined) {
        expect(sha256(await readBytes(gguf.stored(name))), name).toBe(json.raw_sha256[name]);
      }
    }
  });

  it('gives any row by itself', async () => {
    const gguf = await openFile(folder, file);
    const values = await expectedValues(folder);
    for (const name of values.names().filter((key) => key.startsWith('rows.'))) {
      const rows = gguf.rows(name.slice('rows.'.length));
      const expected = await values.readF32(name);
      const count = expected.length / rows.columns;
      const picked = [...new Set([0, 1, Math.floor(rows.rows / 2), rows.rows - 1])];
      const wanted = count === picked.length ? picked : [0, rows.rows - 1];
      expect(wanted.length, name).toBe(count);
      for (const [i, row] of wanted.entries()) {
        const part = expected.subarray(i * rows.columns, (i + 1) * rows.columns);
        expect(await rows.read(row, 1), `${name}, row ${row}`).toEqual(part);
      }
    }
  });
});

test('the fixtures hold every block format but Q4_1, whose blocks @mariana/core tests', async () => {
  const found = new Set<string>();
  for (const { folder, file } of GGUF_GOLDENS) {
    const gguf = await openFile(folder, file);
    for (const name of gguf.names()) {
      const { format } = gguf.entry(name).type;
      if (isBlockFormat(format)) found.add(format);
    }
  }
  expect([...found, 'q4_1'].sort()).toEqual(Object.keys(BLOCK_LAYOUTS).sort());
});

describe('where llama.cpp computes otherwise than the original implementations', () => {
  it.each(['tiny-no-q-lora', 'tiny-v2-group'])('%s, the originals are followed', async (folder) => {
    const golden = GGUF_GOLDENS.find((entry) => entry.folder === folder)!;
    using model = await Model.load(asModel(folder, golden.file), { backend: new ReferenceBackend() });
    const values = await expectedValues(folder);
    const ids = [...(await values.readF32('p1.input_ids'))];
    expect(relativeError(await logitsOf(model, ids), await values.readF32('p1.F32.logits'))).toBeGreaterThan(0.05);
  });
});

test.skipIf(WHOLE_SET === undefined)(
  `the source of k256-* in shards${WHOLE_SET === undefined ? ', only with MARIANA_GOLDENS_GGUF' : ''}`,
  async () => {
    using model = await Model.load(k256Source(), { backend: new ReferenceBackend() });
    const values = await expectedValues('k256-hf-part1');
    const ids = [...(await values.readF32('input_ids'))];
    expect(relativeError(await logitsOf(model, ids), await values.readF32('F32.logits'))).toBeLessThan(2e-4);
    expect(await greedy(model, ids, 16)).toEqual([...(await values.readF32('F32.greedy_tokens'))]);
  },
);

test.skipIf(ABSENT.length > 0)(
  `the whole set${ABSENT.length > 0 ? `: ${ABSENT.join(', ')} are only tested with MARIANA_GOLDENS_GGUF` : ' is here'}`,
  () => {
    expect(new Set(GGUF_GOLDENS.map(({ folder }) => folder)).size).toBe(11);
  },
);
