/** What is written as GGUF is what other programs write: the same keys, and the same bytes of every tensor. */
import {
  Checkpoint,
  type CheckpointFiles,
  GgufFile,
  type GgufQuant,
  ggufModel,
  MemorySink,
  MemorySource,
  parseConfig,
  readBytes,
  readJson,
  writeGguf,
} from '@mariana/core';
import { openFixture } from '@mariana/goldens/node';
import { describe, expect, it, test } from 'vitest';
import { GGUF_GOLDENS, k256Source, readGolden, WHOLE_SET } from './support/gguf-goldens.ts';

async function written(files: CheckpointFiles, quant: GgufQuant): Promise<GgufFile> {
  const config = parseConfig(await readJson(files, 'config.json'));
  const checkpoint = await Checkpoint.open(files);
  const sink = new MemorySink();
  await writeGguf(sink, ggufModel(config, checkpoint, { quant, name: 'x' }));
  await checkpoint.close();
  return GgufFile.open(new MemorySource(sink.bytes(), 'written'));
}

async function expectSameTensors(ours: GgufFile, theirs: GgufFile): Promise<void> {
  expect([...ours.names()].sort()).toEqual([...theirs.names()].sort());
  for (const name of theirs.names()) {
    const { type, shape } = theirs.entry(name);
    expect(ours.entry(name), name).toMatchObject({ type, shape });
    expect(await readBytes(ours.stored(name)), name).toEqual(await readBytes(theirs.stored(name)));
  }
}

/** Keys in which writers are free, and those of the tokenizer, which the goldens in safetensors have not. */
const FREE = /^(general\.(name|size_label|file_type)|(tokenizer|mariana)\..*)$/;

const QUANTS: Readonly<Record<string, GgufQuant>> = { F32: 'f32', F16: 'f16', BF16: 'bf16', Q8_0: 'q8_0' };

const FILES = GGUF_GOLDENS.flatMap(({ folder, file }) => {
  const quant = QUANTS[file.replace('.gguf', '')];
  return quant === undefined ? [] : [{ folder, file, quant }];
});

describe.each(FILES)('$folder as $quant', ({ folder, file, quant }) => {
  it(`is what ${file} is`, async () => {
    const ours = await written(await openFixture(folder), quant);
    const theirs = await GgufFile.open(new MemorySource(readGolden(folder, file), file));
    await expectSameTensors(ours, theirs);
    for (const [key, value] of theirs.metadata) {
      if (!FREE.test(key)) expect(ours.metadata.get(key), key).toEqual(value);
    }
    // Beyond theirs there is only the zero that says "no q_lora".
    const more = [...ours.metadata.keys()].filter((key) => !theirs.metadata.has(key) && !FREE.test(key));
    expect(more).toEqual(more.filter((key) => key === 'deepseek2.attention.q_lora_rank'));
  });
});

test.skipIf(WHOLE_SET === undefined)(
  `a larger model in shards becomes the bytes of llama.cpp's quantiser (k256-hf${WHOLE_SET === undefined ? ', only with MARIANA_GOLDENS_GGUF' : ''})`,
  async () => {
    const theirs = await GgufFile.open(new MemorySource(readGolden('k256-Q8_0', 'model.gguf'), 'k256-Q8_0'));
    await expectSameTensors(await written(k256Source(), 'q8_0'), theirs);
  },
);
