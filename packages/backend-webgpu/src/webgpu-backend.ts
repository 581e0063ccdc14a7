/**
 * The contract on WebGPU: over the primitives, the parts of a model as fused kernels, and weights that stay packed in
 * GPU memory.
 */
import type { TfTensor } from '@mariana/backend-tfjs';
import {
  type AttentionOptions,
  type Capabilities,
  checkDtype,
  checkRmsNorm,
  checkSwiglu,
  DenseWeight,
  type ExpertWeights,
  type LatentAttentionOptions,
  type LatentCacheView,
  type LoadWeightOptions,
  MarianaError,
  type MemoryUse,
  type Routing,
  type RoutingOptions,
  type Tensor,
  type TokenCandidates,
  type Weight,
  type WeightFormat,
  type WeightSource,
} from '@mariana/core';
import type { DeviceCounts } from './device/counters.ts';
import type { DeviceEngine } from './device/engine.ts';
import { attention, latentAttention } from './ops/attention.ts';
import { experts } from './ops/experts.ts';
import { type GpuMatrix, linear, matrixOf, matrixOfTensor, weightRows } from './ops/linear.ts';
import * as norm from './ops/norm.ts';
import * as rows from './ops/reduce.ts';
import { route } from './ops/route.ts';
import { candidates } from './ops/sampling.ts';
import { WebGpuPrimitives } from './webgpu-primitives.ts';
import { matrixBytes, WebGpuWeight } from './weights/gpu-weight.ts';
import { heldAs } from './weights/held-format.ts';
import { loadStack } from './weights/load-weights.ts';

/** Format that weights are held in; `native` keeps each as it comes. */
export type WebGpuWeights = 'native' | 'fp8' | 'int8' | 'int4' | 'f32';

export class WebGpuBackend<T extends TfTensor = TfTensor> extends WebGpuPrimitives<T> {
  override readonly capabilities: Capabilities;
  readonly #engine: DeviceEngine;
  readonly #weights: WebGpuWeights;
  #weightBytes = 0;
  #pages: { readonly list: Int32Array; readonly tensor: TfTensor } | undefined;
  #disposed = false;

  /** Use `webgpu()`. */
  constructor(engine: DeviceEngine, weights: WebGpuWeights) {
    super(engine);
    this.#engine = engine;
    this.#weights = weights;
    engine.join();
    this.capabilities = {
      weightFormats: weights === 'native' ? ['f32', 'bf16', 'fp8', 'int8', 'int4'] : [weights],
      threads: 0,
      // Every product of the contract is bounded by float32's rounding, which f16 does not meet.
      shaderF16: false,
      memoryBudget: undefined,
    };
  }

  /** The device that computes. Shared with TensorFlow.js. */
  get device(): GPUDevice {
    return this.#engine.device;
  }

  /** The adapter in words, as far as it says what it is. */
  get adapter(): string {
    const { vendor, architecture, description } = this.#engine.adapter;
    return [vendor, architecture, description].filter((part) => part !== '').join(' ') || 'unknown';
  }

  /** Kernels dispatched and bytes moved since the device was opened, or since `resetCounts`. */
  counts(): DeviceCounts {
    return this.#engine.counters.snapshot();
  }

  resetCounts(): void {
    this.#engine.counters.reset();
  }

  /** Bytes of GPU memory: of tensors and weights in use, and with what is kept for use again. */
  gpuMemory(): { readonly used: number; readonly allocated: number } {
    const { numBytesUsed, numBytesAllocated } = this.#engine.pool;
    return { used: numBytesUsed + this.#weightBytes, allocated: numBytesAllocated + this.#weightBytes };
  }

  override memory(): MemoryUse {
    const { tensors, bytes } = super.memory();
    return { tensors, bytes: bytes + this.#weightBytes };
  }

  // Composites ----------------------------------------------------------------------------------------------------

  override softmax(x: Tensor): Tensor {
    checkDtype('softmax', x, 'f32');
    if (x.rank === 0) throw new MarianaError('SHAPE_MISMATCH', 'softmax: takes a tensor of rank 1 or more');
    this.own(x);
    return rows.softmax(this, x);
  }

  override rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
    checkRmsNorm(x, weight);
    this.own(x, weight);
    return x.size === 0 ? this.empty(x.shape, 'f32') : norm.rmsNorm(this, x, weight, epsilon);
  }

  override rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
    const [tokens, , width] = x.shape;
    const fits = (angles: Tensor) => angles.rank === 2 && angles.shape[0] === tokens && angles.shape[1] === width! / 2;
    // The default body says what does not fit.
    if (x.rank !== 3 || width! % 2 !== 0 || !fits(cos) || !fits(sin)) return super.rotary(x, cos, sin);
    for (const operand of [x, cos, sin]) checkDtype('rotary', operand, 'f32');
    this.own(x, cos, sin);
    return x.size === 0 ? this.empty(x.shape, 'f32') : norm.rotary(this, x, cos, sin);
  }

  override swiglu(gate: Tensor, up: Tensor): Tensor {
    checkSwiglu(gate, up);
    this.own(gate, up);
    return gate.size === 0 ? this.empty(gate.shape, 'f32') : norm.swiglu(this, gate, up);
  }

  override linear(x: Tensor, weight: Weight): Tensor {
    const [out, inputs] = weight.shape;
    checkDtype('linear', x, 'f32');
    if (x.shape.at(-1) !== inputs) {
      throw new MarianaError('SHAPE_MISMATCH', `linear: ${x} does not fit a weight [${out}, ${inputs}]`);
    }
    this.own(x);
    const w = this.#matrix(weight);
    if (w === null || x.size === 0 || out === 0) return super.linear(x, weight);
    return linear(this, x, w, 1, [...x.shape.slice(0, -1), out]);
  }

  override groupedLinear(x: Tensor, weight: Weight): Tensor {
    const [tokens, groups, inputs] = x.shape;
    const [out, columns] = weight.shape;
    const fits = x.rank === 3 && inputs === columns && out % groups! === 0;
    const w = fits ? this.#matrix(weight) : null;
    if (w === null || x.size === 0 || out === 0) return super.groupedLinear(x, weight);
    checkDtype('groupedLinear', x, 'f32');
    this.own(x);
    return linear(this, x, w, groups!, [tokens!, groups!, out / groups!]);
  }

  override embed(ids: Tensor, weight: Weight): Tensor {
    if (!(weight instanceof WebGpuWeight)) return super.embed(ids, weight);
    checkDtype('embed', ids, 'i32');
    const [count, width] = weight.shape;
    this.own(ids);
    this.checkIndices('embed', ids, count);
    const w = this.#matrix(weight);
    const shape = [...ids.shape, width];
    return w === null || ids.size === 0 ? this.empty(shape, 'f32') : weightRows(this, w, ids, shape);
  }

  override route(logits: Tensor, bias: Tensor | null, options: RoutingOptions): Routing {
    this.own(logits, ...(bias === null ? [] : [bias]));
    return route(this, logits, bias, options) ?? super.route(logits, bias, options);
  }

  /** Reads nothing back: the choice of experts stays on the device. */
  override async experts(
    x: Tensor,
    routing: Pick<Routing, 'indices' | 'weights'>,
    weights: ExpertWeights,
  ): Promise<Tensor> {
    this.own(x, routing.indices, routing.weights);
    const result = experts(this, x, routing, weights);
    if (result === null) return super.experts(x, routing, weights);
    // Made before anything was awaited, so perhaps within a scope of the caller's, which this promise outlives.
    this.keep(result);
    try {
      this.checkIndices('experts', routing.indices, weights.gate.length);
    } catch (error) {
      result.dispose();
      throw error;
    }
    return result;
  }

  override attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
    this.own(q, k, v);
    return attention(this, q, k, v, options) ?? super.attention(q, k, v, options);
  }

  override latentAttention(q: Tensor, cache: LatentCacheView, options: LatentAttentionOptions): Tensor {
    this.own(q, cache.pool);
    return latentAttention(this, q, cache, options) ?? super.latentAttention(q, cache, options);
  }

  override async candidates(logits: Tensor, k: number, temperature = 1): Promise<TokenCandidates> {
    this.own(logits);
    return candidates(this, logits, k, temperature);
  }

  // Weights -------------------------------------------------------------------------------------------------------

  override dequantize(weight: Weight): Tensor {
    if (!(weight instanceof WebGpuWeight)) return super.dequantize(weight);
    const w = this.#matrix(weight);
    return w === null ? this.empty(weight.shape, 'f32') : weightRows(this, w, null, weight.shape);
  }

  override async loadWeight(source: WeightSource, options?: LoadWeightOptions): Promise<Weight> {
    const [weight] = await this.#load([source], this.#wanted(options));
    return weight!;
  }

  override async loadWeights(sources: readonly WeightSource[]): Promise<Weight[]> {
    const [first] = sources;
    if (first === undefined) return [];
    const kind = (source: WeightSource) => {
      const { layout, asItComes } = heldAs(source, this.#weights);
      return `${layout.format} ${layout.shape} ${layout.scaleBlock} ${asItComes}`;
    };
    // Side by side only what lies alike.
    if (sources.every((source) => kind(source) === kind(first))) return this.#load(sources, this.#weights);
    return super.loadWeights(sources);
  }

  override weightBytes(source: Pick<WeightSource, 'format' | 'shape'>, options?: LoadWeightOptions): number {
    return matrixBytes(heldAs(source, this.#wanted(options)).layout);
  }

  /** The buffer of a page list; all layers of a step have the same one, so it is uploaded once. */
  pages(list: Int32Array): GPUBuffer {
    const known = this.#pages;
    const isSame = known?.list.length === list.length && list.every((page, i) => page === known.list[i]);
    if (known !== undefined && isSame) return this.#engine.buffer(known.tensor);
    // As long as the next power of two, so that few sizes of buffers are needed as a sequence grows.
    const padded = new Int32Array(Math.max(1024, 2 ** Math.ceil(Math.log2(list.length))));
    padded.set(list);
    known?.tensor.dispose();
    const tensor = this.#engine.tensor(padded.length, 'int32');
    this.#engine.scheduler.write(this.#engine.buffer(tensor), new Uint8Array(padded.buffer));
    this.#pages = { list: list.slice(), tensor };
    return this.#engine.buffer(tensor);
  }

  /** Gives the device back, with all tensors and weights on it; TensorFlow.js keeps it if it had started it. */
  override dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#engine.leave();
  }

  #wanted({ precise = false }: LoadWeightOptions = {}): WeightFormat | 'native' {
    return precise ? 'native' : this.#weights;
  }

  async #load(sources: readonly WeightSource[], wanted: WeightFormat | 'native'): Promise<Weight[]> {
    const { scheduler, device, failures, counters, pool } = this.#engine;
    const memory = {
      maxBytes: Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize),
      allocate: (label: string, bytes: number) => scheduler.allocate(label, bytes),
      write(buffer: GPUBuffer, offset: number, bytes: Uint8Array<ArrayBuffer>) {
        failures.check();
        counters.countUpload(bytes.byteLength);
        device.queue.writeBuffer(buffer, offset, bytes);
      },
      free: (buffer: GPUBuffer) => pool.retire(buffer),
      async drain() {
        await device.queue.onSubmittedWorkDone();
        failures.check();
      },
    };
    const stack = await loadStack(memory, sources, wanted);
    return sources.map((_, index) => {
      const weight = new WebGpuWeight(this, stack, index, (bytes) => {
        this.#weightBytes -= bytes;
      });
      this.#weightBytes += weight.byteLength;
      return weight;
    });
  }

  /** A weight as kernels see it; null where none reads it: rows that are no whole vectors, or no elements at all. */
  #matrix(weight: Weight): GpuMatrix | null {
    if (weight.backend !== this) {
      throw new MarianaError(
        'WRONG_BACKEND',
        `a weight of backend ${weight.backend.name} was given to backend ${this.name}; load it there`,
      );
    }
    const [out, inputs] = weight.shape;
    if (out === 0 || inputs === 0) return null;
    if (weight instanceof WebGpuWeight) return matrixOf(weight);
    if (!(weight instanceof DenseWeight) || inputs % 4 !== 0) return null;
    return matrixOfTensor(this, weight.tensor, weight.shape);
  }
}
