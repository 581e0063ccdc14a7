/**
 * Holds a checkpoint against its config before anything is computed with it: every tensor that the config asks for is
 * there, with a shape and dtype that can be used, and nothing else is. A weight that silently stays random, or a layer
 * that is silently left out, is the worst a loader can do.
 */
import type { ModelConfig } from '../config/model-config.ts';
import { MarianaError } from '../errors.ts';
import { type ExpectedTensor, expectedTensor, expectedTensors } from './expected-tensors.ts';

/** As much of a checkpoint as validation needs: names, and each tensor's dtype and shape. */
export interface CheckpointTensors {
  names(): Iterable<string>;
  /** `dtype` as safetensors spells it (`BF16`, `F8_E4M3`) or as this package does (`bf16`, `e4m3`). */
  info(name: string): { readonly dtype: string; readonly shape: readonly number[] };
}

/** What a valid checkpoint turned out to hold. */
export interface CheckpointSummary {
  /** Whether the multi-token-prediction layers are there; false also where the config has none. */
  readonly mtp: boolean;
  /** Weights stored in FP8 with scales. */
  readonly fp8Weights: number;
  /** Weights stored in grouped integers with scales. */
  readonly integerWeights: number;
  /** Tensors that the model uses, scales included. */
  readonly tensors: number;
  /** Copies of embedding or head that the multi-token-prediction layers leave out; see `ExpectedTensor.sharedWith`. */
  readonly omittedCopies: readonly string[];
}

/** More missing names than this are not collected: the file is of another model. */
const MAX_MISSING = 1000;

const DENSE = new Set(['f32', 'bf16', 'f16']);

/**
 * Checks the tensors of a checkpoint against a config.
 *
 * Weights may be F32, BF16 or F16; projections also E4M3 with their `weight_scale_inv` in F32, if the config has a
 * `quantization_config` for FP8, or I8 and U8 with their `weight_scale`, if it has one for integers (the head too, then).
 * Tolerated: `rotary_emb.inv_freq` buffers, an `lm_head.weight` beside a tied embedding, and the
 * absence of all multi-token-prediction tensors, or of only their copies of embedding and head.
 *
 * @param options.source what to call the checkpoint in messages. Default `checkpoint`.
 * @throws MarianaError `TENSOR_MISMATCH`, `TENSOR_MISSING` or `TENSOR_UNEXPECTED`, the first of these that applies;
 *   the message names the first tensor and counts the others, `details.names` lists up to a thousand.
 */
export function validateCheckpoint(
  config: ModelConfig,
  checkpoint: CheckpointTensors,
  options: { source?: string } = {},
): CheckpointSummary {
  const source = options.source ?? 'checkpoint';
  const found = new Set(checkpoint.names());
  const unexpected: string[] = [];
  const mismatched: Mismatch[] = [];
  const scales = new Set<string>();
  let tensors = 0;
  let mtp = false;

  for (const name of found) {
    if (name.endsWith('.weight_scale_inv') || name.endsWith('.weight_scale')) {
      scales.add(name);
      continue;
    }
    const expected = expectedTensor(config, name);
    if (expected === undefined) {
      if (!isTolerated(config, name)) unexpected.push(name);
      continue;
    }
    tensors++;
    mtp ||= expected.mtp;
    const problem = compare(config, checkpoint, expected);
    if (problem) mismatched.push({ name, ...problem });
  }

  const missing = new Set<string>();
  const omittedCopies: string[] = [];
  const packed = { e4m3: 0, i8: 0, u8: 0 };
  for (const expected of expectedTensors(config)) {
    // The multi-token-prediction layers come last.
    if (missing.size >= MAX_MISSING || (expected.mtp && !mtp)) break;
    if (!found.has(expected.name)) {
      if (expected.sharedWith !== null) omittedCopies.push(expected.name);
      else missing.add(expected.name);
      continue;
    }
    const dtype = dtypeOf(checkpoint, expected.name);
    const scale = scaleOf(config, expected, dtype);
    if (scale === null) continue;
    packed[dtype as keyof typeof packed]++;
    const { name, shape } = scale;
    if (!scales.delete(name)) {
      missing.add(name);
      continue;
    }
    tensors++;
    const info = checkpoint.info(name);
    if (normalDtype(info.dtype) !== 'f32' || !sameShape(info.shape, shape)) {
      mismatched.push({ name, found: describe(info), expected: `F32 ${showShape(shape)}` });
    }
  }
  // What is left are scales of weights that are not packed, or not there. After an early end they cannot be told apart.
  if (missing.size < MAX_MISSING) unexpected.push(...scales);

  refuse(source, mismatched, [...missing], unexpected);
  return { mtp, fp8Weights: packed.e4m3, integerWeights: packed.i8 + packed.u8, tensors, omittedCopies };
}

interface Mismatch {
  readonly name: string;
  readonly found: string;
  readonly expected: string;
}

function compare(
  config: ModelConfig,
  checkpoint: CheckpointTensors,
  expected: ExpectedTensor,
): Omit<Mismatch, 'name'> | null {
  const info = checkpoint.info(expected.name);
  const dtype = normalDtype(info.dtype);
  const wanted = showShape(expected.shape);
  const [rows, columns] = expected.shape;
  const isInteger = (dtype === 'i8' || dtype === 'u8') && mayBeIntegers(config, expected);
  const stored = isInteger && dtype === 'u8' ? [rows!, Math.ceil(columns! / 2)] : expected.shape;
  if (!sameShape(info.shape, stored)) return { found: describe(info), expected: showShape(stored) };
  if (DENSE.has(dtype) || isInteger) return null;
  if (dtype !== 'e4m3' || !expected.quantizable) {
    const integers = mayBeIntegers(config, expected) ? ', I8 or U8' : '';
    const dtypes = expected.quantizable ? 'F32, BF16, F16 or F8_E4M3' : 'F32, BF16 or F16';
    return { found: describe(info), expected: `${dtypes}${integers} ${wanted}` };
  }
  if (config.quantizationConfig === null) {
    return { found: describe(info), expected: 'a quantization_config in config.json that says how FP8 is scaled' };
  }
  return null;
}

/** Whether a tensor may be grouped integers: what products are made with, in a checkpoint that says that it is so. */
function mayBeIntegers(config: ModelConfig, expected: ExpectedTensor): boolean {
  return config.integerQuantization !== null && (expected.quantizable || expected.kind === 'head');
}

/** Name and shape of the scales that go with a tensor of this dtype; null where there are none. */
function scaleOf(
  config: ModelConfig,
  expected: ExpectedTensor,
  dtype: string,
): { readonly name: string; readonly shape: readonly number[] } | null {
  if (dtype === 'e4m3') return expected.scale;
  const [rows, columns] = expected.shape;
  const groupSize = config.integerQuantization?.groupSize;
  if ((dtype !== 'i8' && dtype !== 'u8') || groupSize === undefined || columns === undefined) return null;
  return { name: `${expected.name}_scale`, shape: [rows!, Math.ceil(columns / groupSize)] };
}

function refuse(source: string, mismatched: Mismatch[], missing: string[], unexpected: string[]): void {
  const problems = mismatched.length + missing.length + unexpected.length;
  if (problems === 0) return;
  const [mismatch] = mismatched;
  const counts = [
    [mismatched.length, 'do not fit'],
    [missing.length, missing.length >= MAX_MISSING ? 'or more are missing' : 'are missing'],
    [unexpected.length, 'have no place in the config'],
  ].filter(([count]) => count !== 0);
  const summary = problems > 1 ? ` (in all: ${counts.map((part) => part.join(' ')).join(', ')})` : '';
  const details = {
    source,
    names: (mismatch ? mismatched.map(({ name }) => name) : missing.length > 0 ? missing : unexpected).slice(0, 1000),
    mismatched: mismatched.length,
    missing: missing.length,
    unexpected: unexpected.length,
  };
  if (mismatch) {
    throw new MarianaError(
      'TENSOR_MISMATCH',
      `${source}: ${mismatch.name} is ${mismatch.found}; expected ${mismatch.expected}${summary}; ` +
        'check that config.json belongs to these weights',
      { details: { ...details, found: mismatch.found, expected: mismatch.expected } },
    );
  }
  if (missing.length > 0) {
    throw new MarianaError(
      'TENSOR_MISSING',
      `${source}: ${missing[0]} is missing${summary}; fetch the whole checkpoint, or the config.json that belongs to it`,
      { details },
    );
  }
  throw new MarianaError(
    'TENSOR_UNEXPECTED',
    `${source}: ${unexpected[0]} has no place in a model of this config${summary}; ` +
      'check that config.json belongs to these weights',
    { details },
  );
}

function isTolerated(config: ModelConfig, name: string): boolean {
  if (name.endsWith('.rotary_emb.inv_freq')) return true;
  return config.tieWordEmbeddings && name === 'lm_head.weight';
}

function dtypeOf(checkpoint: CheckpointTensors, name: string): string {
  return normalDtype(checkpoint.info(name).dtype);
}

function normalDtype(dtype: string): string {
  const lower = dtype.toLowerCase();
  return lower === 'f8_e4m3' ? 'e4m3' : lower;
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, index) => size === b[index]);
}

function showShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

function describe(info: { readonly dtype: string; readonly shape: readonly number[] }): string {
  return `${info.dtype.toUpperCase()} ${showShape(info.shape)}`;
}
