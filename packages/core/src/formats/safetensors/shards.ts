/** How the tensors of a checkpoint are divided among files, before any of them is written. */

import { MarianaError } from '../../errors.ts';
import { quote } from '../quote.ts';
import { SINGLE_FILE, shardFileName } from './shard-index.ts';
import { checkTensor, type TensorToWrite, tensorBytes } from './writer.ts';

/** The files of a checkpoint to be written. */
export interface ShardPlan {
  /** File names and their tensors, none of them empty unless there are no tensors at all. */
  readonly files: readonly { readonly name: string; readonly tensors: readonly TensorToWrite[] }[];
  /** Bytes of all values. */
  readonly totalBytes: number;
  /** What `model.safetensors.index.json` is to hold; absent for a checkpoint of one file, which has none. */
  readonly index?: {
    readonly metadata: { readonly total_size: number };
    readonly weight_map: Readonly<Record<string, string>>;
  };
}

/**
 * Fills one file after another, in the order given, with at most `maxShardBytes` bytes of values; a tensor that is
 * larger gets a file of its own. What fits in one file becomes `model.safetensors`, more become
 * `model-00001-of-00000N.safetensors` and so on with an index, its tensors in alphabetical order.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for a limit below 1, a name given twice, an impossible dtype or shape.
 */
export function planShards(tensors: Iterable<TensorToWrite>, maxShardBytes: number): ShardPlan {
  if (!(maxShardBytes >= 1)) {
    throw new MarianaError('INVALID_ARGUMENT', `maxShardBytes must be at least 1, not ${maxShardBytes}`);
  }
  const shards: TensorToWrite[][] = [[]];
  const shardOf = new Map<string, number>();
  let shardBytes = 0;
  let totalBytes = 0;
  for (const tensor of tensors) {
    checkTensor(tensor);
    if (shardOf.has(tensor.name)) {
      throw new MarianaError('INVALID_ARGUMENT', `tensor ${quote(tensor.name)} is given twice; names must differ`, {
        details: { tensor: tensor.name },
      });
    }
    const bytes = tensorBytes(tensor);
    if (shardBytes + bytes > maxShardBytes && shards.at(-1)!.length > 0) {
      shards.push([]);
      shardBytes = 0;
    }
    shards.at(-1)!.push(tensor);
    shardOf.set(tensor.name, shards.length);
    shardBytes += bytes;
    totalBytes += bytes;
  }
  if (shards.length === 1) return { files: [{ name: SINGLE_FILE, tensors: shards[0]! }], totalBytes };
  const names = [...shardOf.keys()].sort();
  return {
    files: shards.map((members, i) => ({ name: shardFileName(i + 1, shards.length), tensors: members })),
    totalBytes,
    index: {
      metadata: { total_size: totalBytes },
      weight_map: Object.fromEntries(names.map((name) => [name, shardFileName(shardOf.get(name)!, shards.length)])),
    },
  };
}
