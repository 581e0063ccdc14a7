/**
 * The gradient of attention from tensors as they lie, without a transpose. Queries are taken in blocks, and a block is
 * multiplied with the keys that one of its queries sees: about half of the work that all pairs would be. Each stage is one
 * job for all heads of all sequences.
 */
import {
  type AttentionGradients,
  type AttentionOptions,
  type AttentionPass,
  type AttentionSizes,
  attentionGradientSizes,
  scalar,
  type Tensor,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import { attentionSlopes, gemm } from '../wasm/index.ts';

/** Queries that are multiplied together: fewer waste less beyond the diagonal, more are packed less often. */
const BLOCK = 64;

/** Null where nothing is to be computed, or keys come after the last query: the default body then does its work. */
export function attentionGradients(
  backend: CpuBackend,
  gradient: Tensor,
  pass: AttentionPass,
  { scale, queryStart: start = 0 }: AttentionOptions,
): AttentionGradients | null {
  const sizes = attentionGradientSizes(gradient, pass);
  const { batch, queries, keys, heads, width, value } = sizes;
  if (keys !== start + queries || batch * queries * heads * width * value === 0) return null;
  for (const tensor of [gradient, pass.q, pass.k, pass.v, pass.output]) backend.pointer(tensor);
  return backend.scope(() => {
    const factor = scalar(backend, scale);
    const scaled = backend.binary('mul', pass.q, factor);
    const scores = backend.output([batch, heads, queries, keys]);
    const slopes = backend.output([batch, heads, queries, keys]);
    const [dq, dk, dv] = [pass.q, pass.k, pass.v].map(({ shape }) => backend.output(shape)) as [Tensor, Tensor, Tensor];

    const job = backend.engine.job();
    const at = (tensor: Tensor) => backend.pointer(tensor);
    const [perKey, perValue] = [heads * width, heads * value];
    const blocks = blocksOf(sizes, start);
    for (const { q, k, v, y, row, ...block } of blocks) {
      const sized = { m: block.queries, n: block.keys, transposeB: true, ldc: keys };
      const ofK = { k: width, lda: perKey, ldb: perKey };
      const ofV = { k: value, lda: perValue, ldb: perValue };
      gemm(job, { ...sized, ...ofK, a: at(scaled) + q, b: at(pass.k) + k, c: at(scores) + row });
      gemm(job, { ...sized, ...ofV, a: at(gradient) + y, b: at(pass.v) + v, c: at(slopes) + row });
    }
    job.run();
    attentionSlopes(job, {
      ...sizes,
      scores: at(scores),
      slopes: at(slopes),
      dy: at(gradient),
      output: at(pass.output),
      start,
      block: BLOCK,
    });
    job.run();
    for (const { q, k, y, row, newK, newV, column, ...block } of blocks) {
      const ofQ = { m: block.queries, k: block.keys, n: width, lda: keys, ldb: perKey, ldc: perKey };
      gemm(job, { ...ofQ, a: at(slopes) + row, b: at(pass.k) + k, c: at(dq) + q });
      // Keys that no earlier block sees are seen by this block and all that follow.
      const seen = { m: block.newKeys, k: block.later, lda: keys, transposeA: true };
      const ofK = { n: width, ldb: perKey, ldc: perKey };
      const ofV = { n: value, ldb: perValue, ldc: perValue };
      gemm(job, { ...seen, ...ofK, a: at(slopes) + column, b: at(scaled) + q, c: at(dk) + newK });
      gemm(job, { ...seen, ...ofV, a: at(scores) + column, b: at(gradient) + y, c: at(dv) + newV });
    }
    job.run();
    return { q: backend.binary('mul', dq, factor), k: dk, v: dv };
  });
}

/** Some queries of one head of one sequence; what is not a count is an offset in bytes. */
interface Block {
  readonly queries: number;
  /** Keys that the last of them sees. */
  readonly keys: number;
  /** How many of those no earlier block sees. */
  readonly newKeys: number;
  /** Queries of this block and all that follow. */
  readonly later: number;
  /** The first query in q and in the output. */
  readonly q: number;
  readonly y: number;
  /** The first key of the sequence in k and in v. */
  readonly k: number;
  readonly v: number;
  /** The first of the keys that no earlier block sees. */
  readonly newK: number;
  readonly newV: number;
  /** The first query's row of the scores, and in it the column of that key. */
  readonly row: number;
  readonly column: number;
}

function blocksOf({ batch, queries, keys, heads, width, value }: AttentionSizes, start: number): Block[] {
  const blocks: Block[] = [];
  for (let head = 0; head < batch * heads; head++) {
    const [sequence, h] = [Math.floor(head / heads), head % heads];
    const place = (size: number, length: number, row: number) => 4 * ((sequence * length + row) * heads + h) * size;
    for (let first = 0; first < queries; first += BLOCK) {
      const end = Math.min(queries, first + BLOCK);
      const newKey = first === 0 ? 0 : start + first;
      const row = 4 * (head * queries + first) * keys;
      blocks.push({
        queries: end - first,
        keys: start + end,
        newKeys: start + end - newKey,
        later: queries - first,
        q: place(width, queries, first),
        y: place(value, queries, first),
        k: place(width, keys, 0),
        v: place(value, keys, 0),
        newK: place(width, keys, newKey),
        newV: place(value, keys, newKey),
        row,
        column: row + 4 * newKey,
      });
    }
  }
  return blocks;
}
