/**
 * The GGUF fixtures: which files there are, and which values their READMEs promise. The committed ones are the smallest
 * that cover each format; `MARIANA_GOLDENS_GGUF` names a folder with the whole set.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { MemoryFiles, MemorySource, SafetensorsFile } from '@mariana/core';

const COMMITTED = fileURLToPath(new URL('../fixtures/gguf', import.meta.url));

/** The whole set, if this machine has it. */
export const WHOLE_SET = process.env.MARIANA_GOLDENS_GGUF;

/** One GGUF file and what it is compared with. */
export interface GgufGolden {
  readonly folder: string;
  readonly file: string;
  /**
   * Whose logits and tokens they must be: llama.cpp's under these names (`<prompt>.<name>`), or, for models that
   * llama.cpp computes otherwise than the original implementations, those of the Hugging Face golden of the same name.
   */
  readonly expected:
    | { readonly by: 'llama.cpp'; readonly logits: string; readonly tokens: string }
    | { readonly by: 'original' };
}

const tiny = (folder: string, file: string, prefix = 'F32.'): GgufGolden => ({
  folder,
  file,
  expected: { by: 'llama.cpp', logits: `${prefix}logits`, tokens: `${prefix}greedy_tokens` },
});
const original = (folder: string, file: string): GgufGolden => ({ folder, file, expected: { by: 'original' } });
const k256 = (type: string): GgufGolden => ({
  folder: `k256-${type}`,
  file: 'model.gguf',
  expected: { by: 'llama.cpp', logits: 'dequant.logits', tokens: 'dequant.greedy_tokens' },
});

const ALL: readonly GgufGolden[] = [
  tiny('tiny-dense-moe', 'F32.gguf'),
  tiny('tiny-dense-moe', 'F16.gguf'),
  tiny('tiny-dense-moe', 'BF16.gguf'),
  tiny('tiny-dense-moe', 'Q8_0.gguf', 'Q8_0.dequant_'),
  tiny('tiny-dense-moe', 'Q4_0.gguf', 'Q4_0.dequant_'),
  tiny('tiny-negbias', 'F32.gguf'),
  original('tiny-no-q-lora', 'F32.gguf'),
  original('tiny-no-q-lora', 'F16.gguf'),
  original('tiny-no-q-lora', 'BF16.gguf'),
  original('tiny-v2-group', 'F32.gguf'),
  tiny('tiny-v2-softmax', 'F32.gguf'),
  tiny('tiny-v2-softmax', 'F16.gguf'),
  tiny('tiny-v2-softmax', 'BF16.gguf'),
  tiny('tiny-yarn', 'F32.gguf'),
  tiny('tiny-yarn', 'F16.gguf'),
  tiny('tiny-yarn', 'BF16.gguf'),
  k256('Q4_0'),
  k256('Q4_K_M'),
  k256('Q5_K_M'),
  k256('Q6_K'),
  k256('Q8_0'),
];

/** The files that are here, those of the whole set included if this machine has it. */
export const GGUF_GOLDENS: readonly GgufGolden[] = ALL.filter(({ folder, file }) => locate(folder, file) !== undefined);

/** The files that only the whole set has, and that are not here. */
export const ABSENT: readonly string[] = ALL.filter((golden) => !GGUF_GOLDENS.includes(golden)).map(
  ({ folder, file }) => `${folder}/${file}`,
);

/** The bytes of a file of a folder. */
export function readGolden(folder: string, file: string): Uint8Array {
  const path = locate(folder, file);
  if (path === undefined) throw new Error(`${folder}/${file} is not here`);
  const bytes = readFileSync(path);
  return path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

/** A GGUF file as a model to be loaded. */
export function asModel(folder: string, file: string): MemoryFiles {
  return new MemoryFiles({ 'model.gguf': readGolden(folder, file) }, `${folder}/${file}`);
}

/** The model that k256-* were made of, in Hugging Face's layout: only in the whole set, in two folders. */
export function k256Source(): MemoryFiles {
  const [first, second] = ['k256-hf-part1', 'k256-hf-part2'] as const;
  return new MemoryFiles(
    {
      'config.json': readGolden(first, 'config.json'),
      'model.safetensors.index.json': readGolden(first, 'model.safetensors.index.json'),
      'model-00001-of-00002.safetensors': readGolden(first, 'model-00001-of-00002.safetensors'),
      'model-00002-of-00002.safetensors': readGolden(second, 'model-00002-of-00002.safetensors'),
    },
    'k256-hf',
  );
}

/** The expected values of a folder. */
export function expectedValues(folder: string): Promise<SafetensorsFile> {
  return SafetensorsFile.open(new MemorySource(readGolden(folder, 'expected.safetensors'), folder));
}

function locate(folder: string, file: string): string | undefined {
  const roots = WHOLE_SET === undefined ? [COMMITTED] : [COMMITTED, WHOLE_SET];
  return roots
    .flatMap((root) => [`${root}/${folder}/${file}`, `${root}/${folder}/${file}.gz`])
    .find((path) => existsSync(path));
}
