/**
 * How the kernels of the routed experts read weights, whatever their format: WGSL functions that bring the values of one
 * vector of a row, and its scale, from the layouts of `held-format.ts`. All experts of a layer (or as many of them as fit
 * a binding) are one matrix, the rows of each after those of the one before.
 */
import { MarianaError } from '@mariana/core';
import { FORMAT_TEXTS, type HeldFormat } from './held-format.ts';
import type { KernelBinding } from './kernel.ts';

/** How the numbers of expert matrices are held, and which of them share a scale. */
export interface ExpertFormat {
  readonly format: HeldFormat;
  /** Rows that share a scale, and inputs that do; 1 and 0 in formats without. */
  readonly scaleBlock: readonly [rows: number, inputs: number];
}

/** One of the three matrices of every expert. */
export interface ExpertMatrix {
  readonly weights: ExpertFormat;
  /** Rows for each expert. */
  readonly out: number;
  readonly inputs: number;
}

/** Part of the key of a kernel. */
export function formatKey({ format, scaleBlock }: ExpertFormat): string {
  return `${format}/${scaleBlock.join('/')}`;
}

/** Whether rows of this many F32 numbers are read as vectors of four. */
const inVectors = (width: number) => width % 4 === 0;

/** The binding of rows of F32 activations. */
export function rowsBinding(name: string, width: number): KernelBinding {
  return { name, access: 'read', element: inVectors(width) ? 'vec4<f32>' : 'f32' };
}

/** WGSL: `fn <name>_quad(row: u32, quad: u32) -> vec4<f32>`, four numbers of a row, zeros beyond its end. */
export function readRows(name: string, width: number): string {
  if (inVectors(width)) {
    return /* wgsl */ `
fn ${name}_quad(row: u32, quad: u32) -> vec4<f32> {
  if (quad >= ${width / 4}u) { return vec4<f32>(); }
  return ${name}[row * ${width / 4}u + quad];
}
`;
  }
  const at = (i: number) => `select(0.0, ${name}[row * ${width}u + quad * 4u + ${i}u], quad * 4u + ${i}u < ${width}u)`;
  return /* wgsl */ `
fn ${name}_quad(row: u32, quad: u32) -> vec4<f32> {
  return vec4<f32>(${[0, 1, 2, 3].map(at).join(', ')});
}
`;
}

/** The bindings of a matrix called `name`: its numbers, and `<name>_scales` if it has any. */
export function matrixBindings(name: string, { weights }: ExpertMatrix): KernelBinding[] {
  const { element, scaled } = FORMAT_TEXTS[weights.format];
  const numbers: KernelBinding = { name, access: 'read', element };
  return scaled ? [numbers, { name: `${name}_scales`, access: 'read', element: 'f32' }] : [numbers];
}

/**
 * WGSL for a matrix called `name`, whose rows are counted over all experts of the buffer:
 * - `alias <name>_Vector`, an array of `vec4<f32>`: the numbers that are read together;
 * - `fn <name>_vector(row: u32, vector: u32) -> <name>_Vector`, without their scale;
 * - `fn <name>_scale(expert: u32, row: u32, vector: u32) -> f32`, with `row` counted within the expert.
 *
 * @throws MarianaError `INVALID_ARGUMENT` if a vector would have more than one scale.
 */
export function readMatrix(name: string, { weights, out, inputs }: ExpertMatrix): string {
  const { format, scaleBlock } = weights;
  const { inputs: numbers, chunks, scaled } = FORMAT_TEXTS[format];
  const [blockRows, blockInputs] = scaleBlock;
  if (scaled && blockInputs % numbers !== 0) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `experts: a scale for ${blockInputs} inputs cuts a vector of ${numbers} ${format} codes; hold them as f32`,
    );
  }
  const scaleRow = `expert * ${Math.ceil(out / blockRows)}u + row / ${blockRows}u`;
  const scale = `${name}_scales[(${scaleRow}) * ${Math.ceil(inputs / blockInputs)}u + vector / ${blockInputs / numbers}u]`;
  return /* wgsl */ `
alias ${name}_Vector = array<vec4<f32>, ${chunks.length}>;
fn ${name}_vector(row: u32, vector: u32) -> ${name}_Vector {
  let c = ${name}[row * ${Math.ceil(inputs / numbers)}u + vector];
  return ${name}_Vector(${chunks.join(', ')});
}
fn ${name}_scale(expert: u32, row: u32, vector: u32) -> f32 {
  return ${scaled ? scale : '1.0'};
}
`;
}

/** silu(gate) * up; gate * e / (1 + e) with e = exp(-|gate|) below zero, so that nothing overflows. */
export const SWIGLU = /* wgsl */ `
fn swiglu(gate: f32, up: f32) -> f32 {
  let e = exp(-abs(gate));
  return gate * (select(1.0, e, gate < 0.0) / (1.0 + e)) * up;
}
`;
