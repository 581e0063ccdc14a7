export { writeFileAtomic } from './atomic-write.ts';
export { DirectoryFiles } from './directory-files.ts';
export { FileSource } from './file-source.ts';
export {
  type WriteCheckpointOptions,
  type WrittenCheckpoint,
  writeGgufFile,
  writeSafetensorsFile,
  writeShardedCheckpoint,
} from './write-checkpoint.ts';
