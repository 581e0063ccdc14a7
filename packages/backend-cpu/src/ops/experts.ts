/**
 * Routed experts: tokens are listed by expert, and the products of all experts of a step run as one job, with as many
 * tokens each as were sent there. Decoding is the case of one token.
 */
import { type ExpertWeights, groupByExpert, type Routing, type Tensor, type Weight } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import {
  type ActivationShape,
  type Arena,
  combineRows,
  type Job,
  matmulDense,
  matmulPacked,
  quantizeActivations,
  swiglu,
} from '../wasm/index.ts';
import { inArena, withScratch } from './in-arena.ts';
import { type PlacedWeight, placeOf } from './linear.ts';

/** One expert's matrices and the tokens it got: rows `first` to `first + count - 1` of the list of tokens by expert. */
interface ExpertWork {
  readonly gate: PlacedWeight;
  readonly up: PlacedWeight;
  readonly down: PlacedWeight;
  readonly first: number;
  readonly count: number;
}

/** Null where the weights do not lie together in one memory and one format: the default body then does its work. */
export function experts(
  backend: CpuBackend,
  x: Tensor,
  routing: Pick<Routing, 'indices' | 'weights'>,
  weights: ExpertWeights,
): Tensor | null {
  const [tokens, topK] = routing.indices.shape;
  const [rows, hidden] = x.shape;
  if (tokens === undefined || topK === undefined || hidden === undefined || x.rank !== 2 || rows !== tokens)
    return null;
  const [shareTokens, shareCount] = routing.weights.shape;
  const fits = routing.weights.rank === 2 && shareTokens === tokens && shareCount === topK;
  if (!fits || x.dtype !== 'f32' || routing.weights.dtype !== 'f32' || routing.indices.dtype !== 'i32') return null;
  if (tokens * topK === 0) return null;
  backend.pointer(x);
  backend.pointer(routing.weights);
  const indices = backend.view(routing.indices) as Int32Array;
  const groups = groupByExpert(indices, topK, weights.gate.length);

  const width = weights.gate[0]!.shape[0];
  const work: ExpertWork[] = [];
  let first = 0;
  for (const { expert, slots } of groups) {
    const gate = placed(backend, weights.gate[expert], width, hidden, work[0]?.gate);
    const up = gate && placed(backend, weights.up[expert], width, hidden, gate);
    const down = gate && placed(backend, weights.down[expert], hidden, width, gate);
    if (!gate || !up || !down) return null;
    work.push({ gate, up, down, first, count: slots.length });
    first += slots.length;
  }

  const { arena } = work[0]!.gate;
  const out = backend.output([tokens, hidden]);
  const from = { at: backend.pointer(x), floats: x.size };
  const to = { at: backend.pointer(out), floats: out.size };
  const shares = (backend.view(routing.weights) as Float32Array).slice();
  inArena(backend, arena, from, to, (input, output) => {
    withScratch(arena, 12 * first, (lists) => {
      writeLists(arena, lists, groups, topK, shares);
      run(backend, arena, work, { input, output, lists, slots: first, tokens, topK, hidden, width });
    });
  });
  return out;
}

/** Where a matrix lies; null if it has another shape, or another arena or format than one before it. */
function placed(
  backend: CpuBackend,
  weight: Weight | undefined,
  out: number,
  inputs: number,
  like: PlacedWeight | undefined,
): PlacedWeight | null {
  if (weight === undefined || weight.shape[0] !== out || weight.shape[1] !== inputs) return null;
  const place = placeOf(backend, weight);
  if (place === null || like === undefined) return place;
  return place.arena === like.arena && place.layout.matrix.format === like.layout.matrix.format ? place : null;
}

/** Three lists of one entry a slot: tokens by expert; where each choice of each token stands in it; routing weights. */
function writeLists(
  arena: Arena,
  at: number,
  groups: ReturnType<typeof groupByExpert>,
  topK: number,
  shares: Float32Array,
): void {
  const slots = shares.length;
  const tokenList = at / 4;
  const placeList = tokenList + slots;
  let place = 0;
  for (const group of groups) {
    for (const slot of group.slots) {
      arena.i32[tokenList + place] = Math.floor(slot / topK);
      arena.i32[placeList + slot] = place;
      place++;
    }
  }
  arena.f32.set(shares, placeList + slots);
}

interface Sizes {
  readonly input: number;
  readonly output: number;
  readonly lists: number;
  readonly slots: number;
  readonly tokens: number;
  readonly topK: number;
  readonly hidden: number;
  readonly width: number;
}

function run(backend: CpuBackend, arena: Arena, work: readonly ExpertWork[], sizes: Sizes): void {
  const { input, output, lists, slots, tokens, topK, hidden, width } = sizes;
  const job = backend.engine.job(arena);
  const inputs = new Activations(backend, work[0]!.gate, tokens);
  const inner = new Activations(backend, work[0]!.down, slots);
  const floats = 4 * slots * (2 * width + hidden);
  withScratch(arena, floats + inputs.byteLength + inner.byteLength, (scratch) => {
    const gates = scratch;
    const ups = gates + 4 * slots * width;
    const downs = ups + 4 * slots * width;
    const inputRecords = scratch + floats;
    const innerRecords = inputRecords + inputs.byteLength;

    const x = inputs.prepare(job, input, inputRecords);
    for (const { gate, up, first, count } of work) {
      const rows = lists + 4 * first;
      product(job, gate, inputs.shape, { x, y: gates + 4 * first * width, tokens: count, rows });
      product(job, up, inputs.shape, { x, y: ups + 4 * first * width, tokens: count, rows });
    }
    job.run();
    swiglu(job, { gate: gates, up: ups, y: gates, tokens: slots, width });
    job.run();
    const h = inner.prepare(job, gates, innerRecords);
    for (const { down, first, count } of work) {
      const from = h + first * inner.rowBytes(width);
      product(job, down, inner.shape, { x: from, y: downs + 4 * first * hidden, tokens: count });
    }
    job.run();
    combineRows(job, {
      x: downs,
      weights: lists + 8 * slots,
      slots: lists + 4 * slots,
      k: topK,
      y: output,
      tokens,
      width: hidden,
    });
    job.run();
  });
}

/** Activations in the form that a weight wants: as they are, or quantised into records. */
class Activations {
  readonly shape: ActivationShape | null;
  readonly #rows: number;

  constructor(backend: CpuBackend, { layout }: PlacedWeight, rows: number) {
    this.shape = layout.kind === 'packed' ? backend.activationsFor(layout.matrix) : null;
    this.#rows = rows;
  }

  get byteLength(): number {
    return this.shape === null ? 0 : this.#rows * this.shape.recordBytes;
  }

  rowBytes(width: number): number {
    return this.shape === null ? 4 * width : this.shape.recordBytes;
  }

  /** Quantises if need be, as a job of its own; returns where the activations then are. */
  prepare(job: Job, x: number, records: number): number {
    if (this.shape === null) return x;
    quantizeActivations(job, { x, tokens: this.#rows, shape: this.shape, to: records });
    job.run();
    return records;
  }
}

function product(
  job: Job,
  { layout }: PlacedWeight,
  shape: ActivationShape | null,
  operands: { x: number; y: number; tokens: number; rows?: number },
): void {
  if (layout.kind === 'dense') matmulDense(job, { ...operands, w: layout.matrix });
  else matmulPacked(job, { ...operands, w: layout.matrix, shape: shape! });
}
