/**
 * The contract on the CPU: tensors and weights live in WebAssembly memory, and what a model spends its time in runs in
 * SIMD kernels on several threads. Operations that no model is slow in are inherited from the reference backend, which
 * works on views of the same memory.
 */
import { ReferenceBackend } from '@mariana/backend-reference';
import {
  type AdamWAllOptions,
  type AdamWOptions,
  type AdamWState,
  type AttentionGradients,
  type AttentionOptions,
  type AttentionPass,
  allocateTensorData,
  type BinaryOp,
  bytesPerElement,
  type Capabilities,
  type CrossEntropy,
  checkDtype,
  checkShape,
  dtypeOfData,
  type ExpertWeights,
  type LatentAttentionOptions,
  type LatentCacheView,
  type LoadWeightOptions,
  type MatmulGroupsOptions,
  type MatmulOptions,
  type MemoryUse,
  type MuonOptions,
  type MuonState,
  matmulShape,
  type QuantizeActivationsOptions,
  type QuantizedActivations,
  type ReduceOp,
  type ReduceOptions,
  type RmsNormGradients,
  type Routing,
  type RoutingOptions,
  type Shape,
  Storage,
  type SwigluGradients,
  sizeOf,
  type Tensor,
  type TensorData,
  type TensorDType,
  type UnaryOp,
  type Weight,
  type WeightFormat,
  type WeightSource,
} from '@mariana/core';
import { adamw, adamwAll, squaredNorms } from './ops/adamw.ts';
import { attention, latentAttention } from './ops/attention.ts';
import { attentionGradients } from './ops/attention-gradients.ts';
import { cast } from './ops/cast.ts';
import { copyElements } from './ops/copy-elements.ts';
import { binary, unary } from './ops/elementwise.ts';
import { experts } from './ops/experts.ts';
import { crossEntropy, crossEntropyGradients, rmsNormGradients, swigluGradients } from './ops/gradients.ts';
import { embed, groupedLinear, linear } from './ops/linear.ts';
import { matmul } from './ops/matmul.ts';
import { matmulGroups, matmulWithinGroups } from './ops/matmul-groups.ts';
import { concat, gather, slice, writeRows } from './ops/movement.ts';
import { muon } from './ops/muon.ts';
import { quantizeActivations } from './ops/quantize-activations.ts';
import { reduce } from './ops/reduce.ts';
import { route } from './ops/route.ts';
import { rmsNorm, rotary, softmax, swiglu } from './ops/rows.ts';
import { scatterAdd } from './ops/scatter-add.ts';
import { topK } from './ops/top-k.ts';
import { transpose } from './ops/transpose.ts';
import { where } from './ops/where.ts';
import type { CheckedCpuOptions } from './options.ts';
import { type ActivationShape, activationShape, type KernelEngine, type PackedShape } from './wasm/index.ts';
import { CpuWeight } from './weights/cpu-weight.ts';
import { heldBytes, loadWeight, loadWeights } from './weights/load-weight.ts';
import { unpack } from './weights/unpack.ts';

/** Where a tensor lies in the first arena. */
interface Block {
  readonly at: number;
  readonly dtype: TensorDType;
  readonly length: number;
}

export class CpuBackend extends ReferenceBackend {
  override readonly name = 'cpu';
  override readonly capabilities: Capabilities;
  /** Kernels, threads and memories. */
  readonly engine: KernelEngine;
  /** Format that weights are held in; `native` keeps each as it comes. */
  readonly weights: WeightFormat | 'native';
  readonly #activationBits: 8 | 16 | undefined;
  #weightBytes = 0;

  /** Use `cpu()`. */
  constructor(engine: KernelEngine, options: CheckedCpuOptions) {
    super();
    this.engine = engine;
    this.weights = options.weights;
    this.#activationBits = options.activationBits;
    this.capabilities = {
      weightFormats: options.weights === 'native' ? ['f32', 'bf16', 'fp8', 'int8', 'int4'] : [options.weights],
      threads: engine.pool.threads,
      shaderF16: false,
      memoryBudget: options.memoryBudget,
    };
  }

  // Storage -------------------------------------------------------------------------------------------------------

  protected override allocate(dtype: TensorDType, length: number): Storage<TensorData> {
    const storage = this.reserve(dtype, length);
    const { at } = storage.payload as unknown as Block;
    this.engine.arena.bytes(at, storage.byteLength).fill(0);
    return storage;
  }

  /** Storage with whatever contents, for results that are written whole. */
  private reserve(dtype: TensorDType, length: number): Storage<TensorData> {
    const byteLength = length * bytesPerElement(dtype);
    const block: Block = { at: this.engine.arena.alloc(byteLength), dtype, length };
    return new Storage(block as unknown as TensorData, byteLength);
  }

  protected override data(tensor: Tensor): TensorData {
    this.own(tensor);
    const { at, dtype, length } = tensor.storage.payload as Block;
    const { arena } = this.engine;
    switch (dtype) {
      case 'f32':
        return arena.f32.subarray(at / 4, at / 4 + length);
      case 'i32':
        return arena.i32.subarray(at / 4, at / 4 + length);
      case 'bf16':
      case 'f16':
        return arena.u16.subarray(at / 2, at / 2 + length);
      case 'i8':
        return arena.i8.subarray(at, at + length);
      default:
        return arena.u8.subarray(at, at + length);
    }
  }

  override upload(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor {
    checkShape('upload', shape, data.length);
    const out = this.output(shape, dtypeOfData(data, dtype));
    copyElements(data, this.data(out));
    return out;
  }

  override async read(tensor: Tensor): Promise<TensorData> {
    const data = this.data(tensor);
    const copy = allocateTensorData(tensor.dtype, data.length);
    copyElements(data, copy);
    return copy;
  }

  override writeRows(target: Tensor, rows: Int32Array, values: Tensor): void {
    if (!writeRows(this, target, rows, values)) super.writeRows(target, rows, values);
  }

  protected override release(storage: Storage): void {
    this.engine.arena.free((storage.payload as Block).at);
  }

  override memory(): MemoryUse {
    const { tensors, bytes } = super.memory();
    return { tensors, bytes: bytes + this.#weightBytes };
  }

  /** Stops the threads. */
  override dispose(): void {
    void this.engine.dispose();
  }

  // For the kernels' callers in ops/ -----------------------------------------------------------------------------

  /** Address of a tensor in the first arena. */
  pointer(tensor: Tensor): number {
    this.own(tensor);
    return (tensor.storage.payload as Block).at;
  }

  /** A new tensor with whatever contents. */
  output(shape: Shape, dtype: TensorDType = 'f32'): Tensor {
    return this.make(shape, dtype, this.reserve(dtype, sizeOf(shape)));
  }

  /** A view of a tensor's values, good until another tensor is made. */
  view(tensor: Tensor): TensorData {
    return this.data(tensor);
  }

  /** How activations are rounded before they meet a packed weight. */
  activationsFor(weight: PackedShape): ActivationShape {
    return activationShape(weight, this.#activationBits ?? (weight.layout === 'pair' ? 16 : 8));
  }

  /** Called by weights as they come and go. */
  countWeight(bytes: number): void {
    this.#weightBytes += bytes;
  }

  // Primitives ----------------------------------------------------------------------------------------------------

  override unary(op: UnaryOp, x: Tensor): Tensor {
    return unary(this, op, x);
  }

  override binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    return binary(this, op, a, b);
  }

  override where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
    return where(this, condition, a, b);
  }

  override reduce(op: ReduceOp, x: Tensor, axis: number, options?: ReduceOptions): Tensor {
    return reduce(this, op, x, axis, options);
  }

  override cast(x: Tensor, dtype: TensorDType): Tensor {
    return cast(this, x, dtype) ?? super.cast(x, dtype);
  }

  override transpose(x: Tensor, permutation: readonly number[]): Tensor {
    return transpose(this, x, permutation);
  }

  override scatterAdd(indices: Tensor, updates: Tensor, rows: number): Tensor {
    return scatterAdd(this, indices, updates, rows);
  }

  override topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
    return topK(this, x, k) ?? super.topK(x, k);
  }

  override slice(x: Tensor, axis: number, start: number, end: number): Tensor {
    return slice(this, x, axis, start, end) ?? super.slice(x, axis, start, end);
  }

  override concat(tensors: readonly Tensor[], axis: number): Tensor {
    return concat(this, tensors, axis) ?? super.concat(tensors, axis);
  }

  override gather(data: Tensor, indices: Tensor): Tensor {
    return gather(this, data, indices) ?? super.gather(data, indices);
  }

  override matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    checkDtype('matmul', a, 'f32');
    checkDtype('matmul', b, 'f32');
    this.own(a, b);
    return matmul(this, a, b, matmulShape(a.shape, b.shape, options), options);
  }

  // Composites ----------------------------------------------------------------------------------------------------

  override linear(x: Tensor, weight: Weight): Tensor {
    return linear(this, x, weight) ?? super.linear(x, weight);
  }

  override groupedLinear(x: Tensor, weight: Weight): Tensor {
    return groupedLinear(this, x, weight) ?? super.groupedLinear(x, weight);
  }

  override embed(ids: Tensor, weight: Weight): Tensor {
    return embed(this, ids, weight) ?? super.embed(ids, weight);
  }

  override rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
    return rmsNorm(this, x, weight, epsilon);
  }

  override rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
    return rotary(this, x, cos, sin);
  }

  override swiglu(gate: Tensor, up: Tensor): Tensor {
    return swiglu(this, gate, up);
  }

  override softmax(x: Tensor): Tensor {
    return softmax(this, x);
  }

  override route(logits: Tensor, bias: Tensor | null, options: RoutingOptions): Routing {
    return route(this, logits, bias, options) ?? super.route(logits, bias, options);
  }

  override async experts(
    x: Tensor,
    routing: Pick<Routing, 'indices' | 'weights'>,
    weights: ExpertWeights,
  ): Promise<Tensor> {
    return experts(this, x, routing, weights) ?? super.experts(x, routing, weights);
  }

  override matmulGroups(
    x: Tensor,
    counts: readonly number[],
    weights: readonly Tensor[],
    options?: MatmulGroupsOptions,
  ): Tensor {
    return matmulGroups(this, x, counts, weights, options) ?? super.matmulGroups(x, counts, weights, options);
  }

  override matmulWithinGroups(a: Tensor, b: Tensor, counts: readonly number[]): Tensor[] {
    return matmulWithinGroups(this, a, b, counts);
  }

  override attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
    return attention(this, q, k, v, options) ?? super.attention(q, k, v, options);
  }

  override latentAttention(q: Tensor, cache: LatentCacheView, options: LatentAttentionOptions): Tensor {
    return latentAttention(this, q, cache, options) ?? super.latentAttention(q, cache, options);
  }

  override quantizeActivations(x: Tensor, options?: QuantizeActivationsOptions): QuantizedActivations {
    return quantizeActivations(this, x, options) ?? super.quantizeActivations(x, options);
  }

  override adamw(state: AdamWState, gradient: Tensor, options: AdamWOptions): AdamWState {
    return adamw(this, state, gradient, options) ?? super.adamw(state, gradient, options);
  }

  override adamwAll(
    states: readonly AdamWState[],
    gradients: readonly Tensor[],
    options: AdamWAllOptions,
  ): AdamWState[] {
    return adamwAll(this, states, gradients, options) ?? super.adamwAll(states, gradients, options);
  }

  override muon(states: readonly MuonState[], gradients: readonly Tensor[], options: MuonOptions): MuonState[] {
    return muon(this, states, gradients, options) ?? super.muon(states, gradients, options);
  }

  override squaredNorms(tensors: readonly Tensor[]): Tensor {
    return squaredNorms(this, tensors);
  }

  override swigluGradients(gradient: Tensor, gate: Tensor, up: Tensor): SwigluGradients {
    return swigluGradients(this, gradient, gate, up);
  }

  override rmsNormGradients(gradient: Tensor, x: Tensor, weight: Tensor, epsilon: number): RmsNormGradients {
    return rmsNormGradients(this, gradient, x, weight, epsilon);
  }

  override attentionGradients(gradient: Tensor, pass: AttentionPass, options: AttentionOptions): AttentionGradients {
    return attentionGradients(this, gradient, pass, options) ?? super.attentionGradients(gradient, pass, options);
  }

  override crossEntropy(logits: Tensor, targets: Tensor): CrossEntropy {
    return crossEntropy(this, logits, targets);
  }

  override crossEntropyGradients(gradient: Tensor, logits: Tensor, targets: Tensor, normalizers: Tensor): Tensor {
    return crossEntropyGradients(this, gradient, logits, targets, normalizers);
  }

  // Weights -------------------------------------------------------------------------------------------------------

  override dequantize(weight: Weight): Tensor {
    if (!(weight instanceof CpuWeight) || weight.backend !== this) return super.dequantize(weight);
    weight.assertAlive();
    return this.upload(unpack(weight), weight.shape);
  }

  override loadWeight(source: WeightSource, { precise = false }: LoadWeightOptions = {}): Promise<Weight> {
    return loadWeight(this, source, precise ? 'native' : this.weights);
  }

  override loadWeights(sources: readonly WeightSource[]): Promise<Weight[]> {
    return loadWeights(this, sources, this.weights);
  }

  override weightBytes(
    source: Pick<WeightSource, 'format' | 'shape'>,
    { precise = false }: LoadWeightOptions = {},
  ): number {
    return heldBytes(this.engine.kernels, source, precise ? 'native' : this.weights);
  }
}
