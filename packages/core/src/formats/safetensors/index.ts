export * from './checkpoint.ts';
export { MAX_HEADER_BYTES, parseHeader, readHeader, type SafetensorsEntry, type SafetensorsHeader } from './header.ts';
export * from './safetensors-file.ts';
export { INDEX_FILE, parseShardIndex, SINGLE_FILE, shardFileName } from './shard-index.ts';
export { planShards, type ShardPlan } from './shards.ts';
export {
  type TensorContent,
  type TensorToWrite,
  tensorBytes,
  type WriteSafetensorsOptions,
  writeSafetensors,
} from './writer.ts';
