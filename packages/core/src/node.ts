/**
 * What `@mariana/core` needs the file system for: reading checkpoints from disk and writing them. It is an entry of its
 * own, `@mariana/core/node`, so that programs for browsers never meet a `node:` import.
 */

export * from './formats/node/index.ts';
