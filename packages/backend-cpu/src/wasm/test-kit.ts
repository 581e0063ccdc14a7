/**
 * What the kernel tests share: every build and thread count, repeatable random numbers, and plain float64 formulas to
 * compare with. Nothing here uses the kernels to judge the kernels.
 */
import type { Arena } from './arena.ts';
import { KernelEngine, type KernelEngineOptions } from './engine.ts';
import { canWidenVectors } from './wide-vectors.ts';

/** Every way in which the kernels can run here. */
export const SETUPS: { name: string; options: KernelEngineOptions }[] = [
  { name: 'relaxed', options: { build: 'relaxed' } },
  { name: 'relaxed, 2 threads', options: { build: 'relaxed', threads: 2 } },
  { name: 'simd', options: { build: 'simd' } },
  { name: 'simd, 2 threads', options: { build: 'simd', threads: 2 } },
  { name: 'scalar', options: { build: 'scalar' } },
  { name: 'scalar, 2 threads', options: { build: 'scalar', threads: 2 } },
  { name: 'relaxed, memory not shared', options: { build: 'relaxed', shared: false } },
  ...(canWiden() ? [{ name: 'relaxed, 256-bit vectors', options: { wideVectors: true, threads: 2 } }] : []),
];

/** Whether 256-bit vectors can be had here; says so if not. */
export function canWiden(): boolean {
  const can = canWidenVectors();
  if (!can) process.stderr.write(`not tested: 256-bit vectors, which need Node 24 on x64\n`);
  return can;
}

/** An engine whose threads are up. */
export async function startEngine(options: KernelEngineOptions): Promise<KernelEngine> {
  const engine = await KernelEngine.create(options);
  await engine.pool.ready;
  return engine;
}

/** Repeatable numbers in [0, 1). */
export function random(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** n floats of a bell-like shape, of about the given spread. */
export function normal(n: number, seed: number, spread = 1): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: n }, () => (next() + next() + next() + next() - 2) * 1.73 * spread);
}

/** Copies values to a new block. */
export function put(arena: Arena, values: Float32Array | Int32Array | Uint8Array | Uint16Array | Int8Array): number {
  const at = arena.alloc(values.byteLength);
  arena.u8.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
  return at;
}

/** Copies n floats out. */
export function take(arena: Arena, at: number, n: number): Float32Array {
  return Float32Array.from(arena.floats(at, n));
}

/** x [T, K] times w [N, K] transposed in float64, with the sum of |x w| beside each result for error bounds. */
export function product(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  T: number,
  N: number,
  K: number,
): { y: Float64Array; size: Float64Array } {
  const y = new Float64Array(T * N);
  const size = new Float64Array(T * N);
  for (let t = 0; t < T; t++) {
    for (let n = 0; n < N; n++) {
      let sum = 0;
      let abs = 0;
      for (let k = 0; k < K; k++) {
        const p = x[t * K + k]! * w[n * K + k]!;
        sum += p;
        abs += Math.abs(p);
      }
      y[t * N + n] = sum;
      size[t * N + n] = abs;
    }
  }
  return { y, size };
}

/** The largest |got - want| / bound; above 1 is a failure. NaN counts as infinite. */
export function worst(got: ArrayLike<number>, want: ArrayLike<number>, bound: (i: number) => number): number {
  let most = 0;
  for (let i = 0; i < want.length; i++) {
    const ratio = Math.abs(got[i]! - want[i]!) / bound(i);
    if (!(ratio <= most)) most = Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
  }
  return most;
}

/** Relative error of a sum of K rounded f32 terms, however they are grouped. */
export function sumError(K: number): number {
  return (K + 8) * 2 ** -24;
}

export function toBf16(values: Float32Array): { bits: Uint16Array; values: Float32Array } {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = Uint16Array.from(words, (u) => (u + 0x7fff + ((u >>> 16) & 1)) >>> 16);
  const back = new Float32Array(Uint32Array.from(bits, (b) => b << 16).buffer);
  return { bits, values: back };
}

/** The value of an E4M3 code, straight from its definition. */
export function e4m3Value(code: number): number {
  const exponent = (code >> 3) & 15;
  const mantissa = code & 7;
  const sign = code & 0x80 ? -1 : 1;
  if ((code & 0x7f) === 0x7f) return Number.NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7));
}
