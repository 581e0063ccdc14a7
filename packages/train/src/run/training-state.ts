/**
 * Everything that a training run is at one moment, in one safetensors file: F32 parameters, moments, router biases, and
 * the number of steps done. A run that goes on from it computes the same numbers as one that was never stopped.
 *
 * It is one file because files cannot be replaced together: whatever happens while it is written, either the old state is
 * there or the new one.
 */
import {
  type ByteSink,
  type ByteSource,
  bytesToF32,
  MarianaError,
  parseJson,
  SafetensorsFile,
  type Tensor,
  type TensorToWrite,
  viewAsTensorData,
  writeSafetensors,
} from '@mariana/core';
import type { TrainableModel } from '../model/trainable-model.ts';
import type { Moments, Optimizer } from '../optim/optimizer.ts';

/** What belongs to the state beside tensors. */
export interface TrainingStateInfo {
  /** Steps done. */
  readonly step: number;
  /** Tokens learned from. */
  readonly tokens: number;
  /** What must be the same for a run to be the same run. */
  readonly settings: Readonly<Record<string, string | number>>;
}

const METADATA_KEY = 'mariana.training';

/** Writes the state; the model must not be trained on meanwhile. */
export async function writeTrainingState(
  sink: ByteSink,
  model: TrainableModel,
  optimizer: Optimizer,
  info: TrainingStateInfo,
): Promise<void> {
  const tensors: TensorToWrite[] = [];
  const add = (name: string, tensor: Tensor) => {
    const { shape, dtype } = tensor;
    tensors.push({ name, dtype, shape, data: () => tensor.read() });
  };
  for (const [name, { tensor }] of model.parameters) add(`parameter.${name}`, tensor);
  for (const [name, { first, second }] of optimizer.moments()) {
    add(`first.${name}`, first);
    if (second) add(`second.${name}`, second);
  }
  for (const { layer, router } of model.routers) if (router.correctionBias) add(`bias.${layer}`, router.correctionBias);
  await writeSafetensors(sink, tensors, { metadata: { [METADATA_KEY]: JSON.stringify(info) } });
}

/**
 * Puts a state back into a model and its optimizer.
 *
 * @param settings - Those of the run that goes on.
 * @throws MarianaError `INVALID_ARGUMENT` if the settings differ; `CHECKPOINT_CORRUPT`, `TENSOR_MISSING`,
 *   `TENSOR_MISMATCH`.
 */
export async function readTrainingState(
  source: ByteSource,
  model: TrainableModel,
  optimizer: Optimizer,
  settings: TrainingStateInfo['settings'],
): Promise<TrainingStateInfo> {
  const file = await SafetensorsFile.open(source);
  const info = readInfo(file);
  // States that were written before there was a choice have no optimizer in them.
  checkSettings(file.name, { optimizer: 'adamw', ...info.settings }, settings);
  const { inner } = model.backend;
  const upload = async (name: string, like: Tensor, dtype: 'f32' | 'bf16') => {
    const found = file.info(name);
    if (found.dtype !== dtype || found.shape.join() !== like.shape.join()) {
      throw new MarianaError(
        'TENSOR_MISMATCH',
        `${file.name}: ${name} is ${found.dtype} [${found.shape.join(', ')}], not ${dtype} [${like.shape.join(', ')}]`,
      );
    }
    const bytes = await file.read(name);
    return inner.upload(
      dtype === 'f32' ? bytesToF32('f32', bytes) : viewAsTensorData('bf16', bytes),
      like.shape,
      dtype,
    );
  };
  const moments = new Map<string, Moments>();
  const { moments: dtype = 'f32' } = optimizer.options;
  try {
    for (const [name, { tensor }] of info.step > 0 ? model.parameters : []) {
      const first = await upload(`first.${name}`, tensor, dtype);
      moments.set(name, { first, second: null });
      if (optimizer.usesMuon(name, tensor)) continue;
      moments.set(name, { first, second: await upload(`second.${name}`, tensor, dtype) });
    }
    for (const [name, { tensor }] of model.parameters) {
      model.set(name, await upload(`parameter.${name}`, tensor, 'f32'));
    }
  } catch (error) {
    for (const { first, second } of moments.values()) {
      first.dispose();
      second?.dispose();
    }
    throw error;
  }
  for (const { layer, router } of model.routers) {
    const bias = router.correctionBias;
    if (bias) router.correctionBias = model.backend.adopt(await upload(`bias.${layer}`, bias, 'f32'));
  }
  optimizer.restore(info.step, moments);
  return info;
}

function readInfo(file: SafetensorsFile): TrainingStateInfo {
  const corrupt = (what: string) =>
    new MarianaError(
      'CHECKPOINT_CORRUPT',
      `${file.name}: ${what}; it was not written by a training run, or is damaged`,
    );
  const text = file.metadata.get(METADATA_KEY);
  if (text === undefined) throw corrupt(`there is no ${METADATA_KEY} in its header`);
  const info = parseJson(text, file.name) as Partial<TrainingStateInfo> | null;
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!info || !isCount(info.step) || !isCount(info.tokens) || typeof info.settings !== 'object' || !info.settings) {
    throw corrupt(`${METADATA_KEY} in its header cannot be understood`);
  }
  return info as TrainingStateInfo;
}

function checkSettings(
  name: string,
  stored: TrainingStateInfo['settings'],
  wanted: TrainingStateInfo['settings'],
): void {
  for (const [key, value] of Object.entries(wanted)) {
    if (stored[key] === value) continue;
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `${name}: this run began with ${key} ${JSON.stringify(stored[key])}, not ${JSON.stringify(value)}; ` +
        'go on with the same settings, or train into another folder',
      { details: { setting: key, stored: stored[key], wanted: value } },
    );
  }
}
