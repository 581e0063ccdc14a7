/**
 * What `@mariana/train` needs the file system for: reading training data from disk. It is an entry of its own,
 * `@mariana/train/node`, so that programs for browsers never meet a `node:` import.
 */
export { type ReadDocumentsOptions, readDocuments } from './data/node/read-documents.ts';
