/** Attention in both forms of MLA, without a score matrix of the whole context; see `assembly/attention.ts`. */
import { MarianaError } from '@mariana/core';
import { type Job, KERNEL } from './job.ts';

/** As in `assembly/`. */
const HEADS = 16;
const QUERIES = 32;
const BLOCK = 32;
/** Floats of a thread's work area, less what a tile needs besides. */
const WORK_FLOATS = (768 * 1024 - 8192) / 4;
/** A split has at least so many rows, and a context at most so many splits. */
const SPLIT_ROWS = 512;
const SPLITS = 16;
/** More queries than this keep all threads busy without splits. */
const SPLIT_QUERIES = 8;

function checkWork(floats: number): void {
  if (floats > WORK_FLOATS) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `Heads this wide need ${floats} floats of scratch, ${WORK_FLOATS} exist.`,
    );
  }
}

export interface LatentAttention {
  /** f32 [tokens, heads, latent]: queries folded into the latent, not yet scaled. */
  readonly qLatent: number;
  /** f32 [tokens, heads, rope]: rotated. */
  readonly qRope: number;
  readonly tokens: number;
  readonly heads: number;
  readonly latent: number;
  readonly rope: number;
  /** Elements from token to token and from head to head. Default: dense. */
  readonly qLatentStride?: number | undefined;
  readonly qLatentHead?: number | undefined;
  readonly qRopeStride?: number | undefined;
  readonly qRopeHead?: number | undefined;
  /** The cache: page p begins at `pages + p * pageBytes` and holds `pageRows` rows [latent | rope]. */
  readonly pages: number;
  /** i32: the pages of this sequence, in order. */
  readonly pageTable: number;
  readonly pageRows: number;
  readonly format: 'f32' | 'bf16';
  /** Default: latent + rope elements. */
  readonly rowBytes?: number | undefined;
  /** Default: pageRows * rowBytes. */
  readonly pageBytes?: number | undefined;
  readonly scale: number;
  /** Query t sees the rows 0 .. start + t, which must be there. */
  readonly start: number;
  /** f32 [tokens, heads, latent]. */
  readonly out: number;
  readonly outStride?: number | undefined;
  readonly outHead?: number | undefined;
}

/**
 * out = softmax(scale * (qLatent . latent + qRope . rope)) latent, streaming over the paged cache. Runs the job at once
 * (twice, if a long context is split); the splits depend on the length and not on the number of threads.
 *
 * @throws MarianaError INVALID_ARGUMENT for heads too wide for the scratch memory, OUT_OF_MEMORY if the arena has no
 *   room for partial results
 */
export function latentAttention(job: Job, o: LatentAttention): void {
  const { tokens, heads, latent, rope, start } = o;
  if (tokens <= 0) return;
  const width = latent + rope;
  checkWork(HEADS * (width + 8 + latent) + BLOCK * (width + 8));
  const length = start + tokens;
  let splitRows = SPLIT_ROWS;
  while (splitRows * SPLITS < length) splitRows *= 2;
  const splits = tokens <= SPLIT_QUERIES ? Math.ceil(length / splitRows) : 1;
  if (splits === 1) splitRows = length;
  const tiles = Math.ceil(heads / HEADS);
  const units = tokens * tiles * splits;
  const partials = splits > 1 ? job.arena.alloc(units * (HEADS * latent + 2 * HEADS) * 4) : 0;
  const rowBytes = o.rowBytes ?? width * (o.format === 'bf16' ? 2 : 4);
  const outStride = o.outStride ?? heads * latent;
  const outHead = o.outHead ?? latent;
  job
    .segment(
      KERNEL.latentAttention,
      units,
      (Math.min(heads, HEADS) * Math.min(splitRows, length) * (width + latent)) / 12,
    )
    .word(o.qLatent)
    .word(o.qRope)
    .word(tokens)
    .word(heads)
    .word(latent)
    .word(rope)
    .word(o.qLatentStride ?? heads * latent)
    .word(o.qLatentHead ?? latent)
    .word(o.qRopeStride ?? heads * rope)
    .word(o.qRopeHead ?? rope)
    .word(o.pages)
    .word(o.pageTable)
    .word(o.pageRows)
    .word(rowBytes)
    .word(o.pageBytes ?? o.pageRows * rowBytes)
    .word(o.format === 'bf16' ? 1 : 0)
    .float(o.scale)
    .word(start)
    .word(o.out)
    .word(outStride)
    .word(outHead)
    .word(splits)
    .word(splitRows)
    .word(partials)
    .word(job.arena.wide ? 1 : 0);
  job.run();
  if (splits === 1) return;
  job
    .segment(KERNEL.combineAttention, tokens * heads, splits * latent * 0.6)
    .word(partials)
    .word(heads)
    .word(latent)
    .word(splits)
    .word(o.out)
    .word(outStride)
    .word(outHead);
  job.run();
  job.arena.free(partials);
}

export interface CausalAttention {
  /** f32 [tokens, heads, nope + rope], rotated, not yet scaled. */
  readonly q: number;
  readonly tokens: number;
  readonly heads: number;
  readonly nope: number;
  readonly rope: number;
  readonly qStride?: number | undefined;
  readonly qHead?: number | undefined;
  /** f32 [keys, heads, nope]. */
  readonly kNope: number;
  readonly kStride?: number | undefined;
  readonly kHead?: number | undefined;
  /** f32 [keys, rope], shared by the heads unless `kRopeHead` is given. Not read if `rope` is 0. */
  readonly kRope: number;
  readonly kRopeStride?: number | undefined;
  readonly kRopeHead?: number | undefined;
  /** f32 [keys, heads, value]. */
  readonly v: number;
  readonly value: number;
  readonly vStride?: number | undefined;
  readonly vHead?: number | undefined;
  readonly scale: number;
  /** Query t sees the keys 0 .. start + t, which must be there. */
  readonly start: number;
  /** f32 [tokens, heads, value]. */
  readonly out: number;
  readonly outStride?: number | undefined;
  readonly outHead?: number | undefined;
}

/**
 * Adds out = softmax(scale * q k^T, causal) v to the job, for each head.
 *
 * @throws MarianaError INVALID_ARGUMENT for heads too wide for the scratch memory
 */
export function causalAttention(job: Job, o: CausalAttention): void {
  const { tokens, heads, nope, rope, value } = o;
  if (tokens <= 0) return;
  const width = nope + rope;
  checkWork((QUERIES + BLOCK) * (width + 4) + QUERIES * value);
  const keys = o.start + tokens;
  job
    .segment(
      KERNEL.causalAttention,
      heads * Math.ceil(tokens / QUERIES),
      (Math.min(tokens, QUERIES) * keys * (width + value)) / 20,
    )
    .word(o.q)
    .word(o.qStride ?? heads * width)
    .word(o.qHead ?? width)
    .word(tokens)
    .word(heads)
    .word(nope)
    .word(rope)
    .word(o.kNope)
    .word(o.kStride ?? heads * nope)
    .word(o.kHead ?? nope)
    .word(o.kRope)
    .word(o.kRopeStride ?? rope)
    .word(o.kRopeHead ?? 0)
    .word(o.v)
    .word(o.vStride ?? heads * value)
    .word(o.vHead ?? value)
    .word(value)
    .word(o.start)
    .float(o.scale)
    .word(o.out)
    .word(o.outStride ?? heads * value)
    .word(o.outHead ?? value)
    .word(job.arena.wide ? 1 : 0);
}
