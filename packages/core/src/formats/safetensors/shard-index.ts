/** `model.safetensors.index.json`: which of several files holds each tensor of a checkpoint. */

import { MarianaError } from '../../errors.ts';
import { isFileName } from '../files/checkpoint-files.ts';
import { quote } from '../quote.ts';

/** The name of a checkpoint that is one file. */
export const SINGLE_FILE = 'model.safetensors';

/** The name of the index of a checkpoint of several files. */
export const INDEX_FILE = 'model.safetensors.index.json';

/** The name of the `shard`th of `shards` files, counted from 1: `model-00001-of-000163.safetensors`. */
export function shardFileName(shard: number, shards: number): string {
  return `model-${String(shard).padStart(5, '0')}-of-${String(shards).padStart(6, '0')}.safetensors`;
}

/**
 * Reads the `weight_map` of an index: file names by tensor name. `metadata.total_size` is not checked: published
 * checkpoints are known to have it wrong.
 *
 * @param json the parsed index
 * @param name what to call the index in messages
 * @throws MarianaError `CHECKPOINT_CORRUPT` if it has no map, an empty one, or one that names something other than
 *   files beside the index.
 */
export function parseShardIndex(json: unknown, name: string): ReadonlyMap<string, string> {
  const map = typeof json === 'object' && json !== null && 'weight_map' in json ? json.weight_map : undefined;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw corruptIndex(name, 'it has no weight_map from tensor names to files');
  }
  const files = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map as Record<string, unknown>)) {
    if (typeof file !== 'string') throw corruptIndex(name, `it gives no file name for tensor ${quote(tensor)}`);
    if (!isFileName(file)) {
      throw corruptIndex(name, `it places tensor ${quote(tensor)} in ${quote(file)}, which is no file of its folder`);
    }
    files.set(tensor, file);
  }
  if (files.size === 0) throw corruptIndex(name, 'its weight_map is empty');
  return files;
}

/** An index that cannot be used. */
export function corruptIndex(name: string, what: string): MarianaError {
  return new MarianaError('CHECKPOINT_CORRUPT', `${name}: ${what}; fetch the index and its files again`, {
    details: { file: name },
  });
}
