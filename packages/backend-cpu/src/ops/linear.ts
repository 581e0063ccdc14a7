/** Products with weights: `linear`, `groupedLinear` and `embed`, for every format that the kernels read. */
import { checkDtype, DenseWeight, MarianaError, type Tensor, toF32, type Weight } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import {
  type Arena,
  type DenseMatrix,
  matmulDense,
  matmulPacked,
  type PackedMatrix,
  quantizeActivations,
} from '../wasm/index.ts';
import { CpuWeight, type WeightLayout } from '../weights/cpu-weight.ts';
import { inArena, withScratch } from './in-arena.ts';

/** A weight as the kernels see it. */
export interface PlacedWeight {
  readonly arena: Arena;
  readonly layout: WeightLayout;
}

/** Where a weight lies; null for an F16 tensor, which no kernel reads. */
export function placeOf(backend: CpuBackend, weight: Weight): PlacedWeight | null {
  if (weight.backend !== backend) {
    throw new MarianaError(
      'WRONG_BACKEND',
      `a weight of backend ${weight.backend.name} was given to backend ${backend.name}; load it there`,
    );
  }
  if (weight instanceof CpuWeight) {
    weight.assertAlive();
    return weight;
  }
  if (!(weight instanceof DenseWeight) || weight.format === 'f16') return null;
  const [rows, cols] = weight.shape;
  const matrix: DenseMatrix = {
    format: weight.format === 'bf16' ? 'bf16' : 'f32',
    at: backend.pointer(weight.tensor),
    rows,
    cols,
  };
  return { arena: backend.engine.arena, layout: { kind: 'dense', matrix } };
}

/** y = x W^T. */
export function linear(backend: CpuBackend, x: Tensor, weight: Weight): Tensor | null {
  const [out, inputs] = weight.shape;
  checkDtype('linear', x, 'f32');
  if (x.shape.at(-1) !== inputs) {
    throw new MarianaError('SHAPE_MISMATCH', `linear: ${x} does not fit a weight [${out}, ${inputs}]`);
  }
  const place = placeOf(backend, weight);
  if (place === null || inputs === 0) return null;
  const tokens = x.size / inputs;
  backend.pointer(x);
  const y = backend.output([...x.shape.slice(0, -1), out]);
  const from = { at: backend.pointer(x), floats: x.size };
  const to = { at: backend.pointer(y), floats: y.size };
  inArena(backend, place.arena, from, to, (input, output) => {
    product(backend, place, input, output, tokens);
  });
  return y;
}

function product(backend: CpuBackend, { arena, layout }: PlacedWeight, x: number, y: number, tokens: number): void {
  const job = backend.engine.job(arena);
  if (layout.kind === 'dense') {
    matmulDense(job, { x, w: layout.matrix, y, tokens });
    job.run();
    return;
  }
  const shape = backend.activationsFor(layout.matrix);
  withScratch(arena, tokens * shape.recordBytes, (records) => {
    quantizeActivations(job, { x, tokens, shape, to: records });
    job.run();
    matmulPacked(job, { x: records, shape, w: layout.matrix, y, tokens });
    job.run();
  });
}

/** y[t, g] = W_g x[t, g]: one product for each group, all in one job. */
export function groupedLinear(backend: CpuBackend, x: Tensor, weight: Weight): Tensor | null {
  const [tokens, groups, inputs] = x.shape;
  const [rows, columns] = weight.shape;
  if (tokens === undefined || groups === undefined || x.rank !== 3 || inputs !== columns || rows % groups !== 0) {
    return null; // the default body says what does not fit
  }
  checkDtype('groupedLinear', x, 'f32');
  const place = placeOf(backend, weight);
  const out = rows / groups;
  if (place === null || !isDivisible(place.layout, out) || groups * inputs === 0) return null;
  backend.pointer(x);
  const y = backend.output([tokens, groups, out]);
  const from = { at: backend.pointer(x), floats: x.size };
  const to = { at: backend.pointer(y), floats: y.size };
  inArena(backend, place.arena, from, to, (input, output) => {
    groupedProduct(backend, place, { x: input, y: output, tokens, groups, inputs, out });
  });
  return y;
}

interface GroupedSizes {
  readonly x: number;
  readonly y: number;
  readonly tokens: number;
  readonly groups: number;
  readonly inputs: number;
  readonly out: number;
}

function groupedProduct(
  backend: CpuBackend,
  { arena, layout }: PlacedWeight,
  { x, y, tokens, groups, inputs, out }: GroupedSizes,
): void {
  const job = backend.engine.job(arena);
  if (layout.kind === 'dense') {
    for (let group = 0; group < groups; group++) {
      matmulDense(job, {
        x: x + 4 * group * inputs,
        w: rowsOfDense(layout.matrix, group * out, out),
        y: y + 4 * group * out,
        tokens,
        xStride: groups * inputs,
        yStride: groups * out,
      });
    }
    job.run();
    return;
  }
  // Every group of every token is a row of its own for the quantiser: tokens stay `groups` records apart.
  const shape = backend.activationsFor(layout.matrix);
  withScratch(arena, tokens * groups * (shape.recordBytes + 4), (records) => {
    const lists = records + tokens * groups * shape.recordBytes;
    for (let group = 0; group < groups; group++) {
      for (let token = 0; token < tokens; token++) {
        arena.i32[lists / 4 + group * tokens + token] = token * groups + group;
      }
    }
    quantizeActivations(job, { x, tokens: tokens * groups, shape, to: records });
    job.run();
    for (let group = 0; group < groups; group++) {
      matmulPacked(job, {
        x: records,
        shape,
        w: rowsOfPacked(layout.matrix, group * out, out),
        y: y + 4 * group * out,
        tokens,
        yStride: groups * out,
        rows: lists + 4 * group * tokens,
      });
    }
    job.run();
  });
}

/** FP8 blocks and integer panels can only be cut where one ends. */
function isDivisible(layout: WeightLayout, rows: number): boolean {
  if (layout.kind === 'packed') return rows % 16 === 0;
  return layout.matrix.format !== 'fp8' || rows % 128 === 0;
}

function rowsOfDense(matrix: DenseMatrix, first: number, count: number): DenseMatrix {
  const bytes = { f32: 4, bf16: 2, fp8: 1 }[matrix.format];
  return {
    ...matrix,
    at: matrix.at + first * matrix.cols * bytes,
    rows: count,
    ...(matrix.scales !== undefined && {
      scales: matrix.scales + 4 * (first / 128) * Math.ceil(matrix.cols / 128),
    }),
  };
}

function rowsOfPacked(matrix: PackedMatrix, first: number, count: number): PackedMatrix {
  const panels = Math.ceil(matrix.rows / 16);
  const share = (bytes: number) => (bytes / panels) * (count / 16);
  const skip = (bytes: number) => (bytes / panels) * (first / 16);
  return {
    ...matrix,
    rows: count,
    data: matrix.data + skip(matrix.dataBytes),
    scales: matrix.scales + skip(matrix.scaleBytes),
    dataBytes: share(matrix.dataBytes),
    scaleBytes: share(matrix.scaleBytes),
  };
}

/** Rows of an F32 or BF16 matrix in any arena; null for other formats. */
export function embed(backend: CpuBackend, ids: Tensor, weight: Weight): Tensor | null {
  checkDtype('embed', ids, 'i32');
  const place = placeOf(backend, weight);
  if (place === null || place.layout.kind === 'packed' || place.layout.matrix.format === 'fp8') return null;
  const { at, cols, rows, format } = place.layout.matrix;
  backend.pointer(ids);
  const list = backend.view(ids).slice();
  const bad = list.find((id) => id < 0 || id >= rows);
  if (bad !== undefined) {
    throw new MarianaError('INVALID_ARGUMENT', `embed: index ${bad} is not among ${rows} rows`);
  }
  const out = backend.output([...ids.shape, cols]);
  const to = backend.view(out) as Float32Array;
  list.forEach((id, i) => {
    if (format === 'f32') to.set(place.arena.floats(at + 4 * id * cols, cols), i * cols);
    else {
      const codes = place.arena.u16.subarray(at / 2 + id * cols, at / 2 + (id + 1) * cols);
      toF32('bf16', codes, to.subarray(i * cols, (i + 1) * cols));
    }
  });
  return out;
}
