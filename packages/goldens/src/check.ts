/** What the groups of golden cases share: the form of a check, the folders, and a small page pool. */
import type { Backend } from '@mariana/core';
import { PagePool, type Transformer } from '@mariana/layers';
import type { Golden } from './golden.ts';

/** What a case is checked with: the expected values and the model loaded from the folder. */
export interface GoldenContext {
  readonly golden: Golden;
  readonly model: Transformer;
  readonly backend: Backend;
}

/** A check of one folder. */
export interface GoldenCheck {
  readonly name: string;
  readonly folders: readonly string[];
  check(context: GoldenContext): Promise<void>;
}

export const FOLDERS = [
  'tiny-dense-moe',
  'tiny-sharded',
  'tiny-no-q-lora',
  'tiny-v2-softmax',
  'tiny-v2-group',
  'tiny-negbias',
  'tiny-yarn',
  'tiny-yarn-mscale',
  'tiny-fp8',
  'tiny-mtp',
] as const;

/** A page pool for one sequence of a model, with pages small enough that sequences span several. */
export function poolFor(model: Transformer, tokens: number): PagePool {
  const { config, backend } = model;
  const width = config.kvLoraRank + config.qkRopeHeadDim;
  return new PagePool({ backend, layers: config.numHiddenLayers, width, maxTokens: tokens, pageSize: 8 });
}
