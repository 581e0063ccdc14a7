/**
 * The compiled kernels: picks the best build that this engine runs (relaxed SIMD, SIMD, scalar), finds out what the
 * machine makes of the relaxed dot product, and says which weight layout follows from that. One `KernelModule` serves
 * any number of memories and threads; compiling happens once.
 */
import { MarianaError } from '@mariana/core';
import { KERNELS } from './generated/kernels.ts';
import { enableWideVectors, wideVectors } from './wide-vectors.ts';

/** The builds of the kernels, best first. */
export type KernelBuild = 'relaxed' | 'simd' | 'scalar';

/**
 * What `i32x4.relaxed_dot_i8x16_i7x16_add_s` makes of a second operand beyond seven bits: exact as an unsigned byte
 * (x86 with VNNI), exact as a signed byte (Arm), or neither (it saturates, or is not there).
 */
export type RelaxedDot = 'unsigned' | 'signed' | 'none';

/** How the integers of a product are interleaved: four bytes, or two 16-bit numbers, for one dot instruction. */
export type PackedLayout = 'quad' | 'pair';

/** What an instance of the kernels exports. Pointers are byte offsets into its memory. */
export interface KernelExports {
  runJob(job: number, scratch: number): void;
  probeDot(at: number): number;
  findFp8Nan(at: number, length: number): number;
  readonly scratchBytes: WebAssembly.Global;
}

export interface KernelModuleOptions {
  /** Default: the best that the engine accepts. */
  build?: KernelBuild | undefined;
  /** Whether memories are shared between threads. Default: whether the engine has SharedArrayBuffer. */
  shared?: boolean | undefined;
  /** Overrides what the probe finds; for tests. 'none' is right everywhere. */
  relaxedDot?: RelaxedDot | undefined;
  /** Join vectors to 256 bits; see `wide-vectors.ts`. Default: if the process was started with V8's flag for it. */
  wideVectors?: boolean | undefined;
}

export class KernelModule {
  readonly build: KernelBuild;
  readonly shared: boolean;
  readonly module: WebAssembly.Module;
  readonly relaxedDot: RelaxedDot;
  /** Whether the engine joins vectors to 256 bits. */
  readonly wide: boolean;
  /** Bytes that each thread needs as scratch memory, in each memory. */
  readonly scratchBytes: number;

  private constructor(build: KernelBuild, shared: boolean, module: WebAssembly.Module, options: KernelModuleOptions) {
    this.build = build;
    this.shared = shared;
    this.module = module;
    this.wide = build === 'relaxed' && (options.wideVectors ?? wideVectors());
    const memory = createMemory(shared, 1, 1);
    const exports = this.instantiate(memory);
    this.scratchBytes = exports.scratchBytes.value as number;
    this.relaxedDot = options.relaxedDot ?? probe(memory, exports);
  }

  /**
   * Compiles the kernels.
   *
   * @throws MarianaError BACKEND_UNAVAILABLE if there is no WebAssembly, if the build asked for does not run here, or if
   *   the policy of the page forbids to compile it.
   */
  static async load(options: KernelModuleOptions = {}): Promise<KernelModule> {
    if (typeof WebAssembly === 'undefined') {
      throw new MarianaError('BACKEND_UNAVAILABLE', 'The CPU backend needs WebAssembly, which this engine lacks.');
    }
    if (options.wideVectors) enableWideVectors();
    const shared = options.shared ?? typeof SharedArrayBuffer !== 'undefined';
    if (shared && typeof SharedArrayBuffer === 'undefined') {
      throw new MarianaError(
        'BACKEND_UNAVAILABLE',
        'Shared memory was asked for, but there is no SharedArrayBuffer here: serve the page cross-origin isolated, or use one thread.',
      );
    }
    const builds: KernelBuild[] = options.build ? [options.build] : ['relaxed', 'simd', 'scalar'];
    for (const build of builds) {
      const bytes = await unpack(KERNELS[build]);
      if (!shared) makeUnshared(bytes);
      if (!WebAssembly.validate(bytes)) continue;
      return new KernelModule(build, shared, await compile(bytes), options);
    }
    throw new MarianaError(
      'BACKEND_UNAVAILABLE',
      `This engine does not run the kernel build '${builds.join("', '")}'.`,
    );
  }

  /** A new instance over `memory`. */
  instantiate(memory: WebAssembly.Memory): KernelExports {
    return new WebAssembly.Instance(this.module, { env: { memory } }).exports as unknown as KernelExports;
  }

  /** The layout of INT8 panels, and whether they hold w + 128. */
  get int8(): { readonly layout: PackedLayout; readonly offset: boolean } {
    if (this.build !== 'relaxed' || this.relaxedDot === 'none') return { layout: 'pair', offset: false };
    return { layout: 'quad', offset: this.relaxedDot === 'unsigned' };
  }

  /** The layout of INT4 panels: a nibble is within seven bits, so every relaxed dot will do. */
  get int4(): { readonly layout: PackedLayout; readonly offset: boolean } {
    return { layout: this.build === 'relaxed' ? 'quad' : 'pair', offset: false };
  }
}

/** A memory of `pages` x 64 KiB that can grow to `maximum`. */
export function createMemory(shared: boolean, pages: number, maximum: number): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: pages, maximum, shared });
}

async function compile(bytes: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    throw new MarianaError(
      'BACKEND_UNAVAILABLE',
      "The engine refuses to compile the kernels, which are valid: a page with a Content-Security-Policy needs script-src 'wasm-unsafe-eval'.",
      { cause },
    );
  }
}

async function unpack(base64: string): Promise<Uint8Array<ArrayBuffer>> {
  const zipped = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Where there is nothing yet, beyond the constants. */
const PROBE = 4096;

/** Bytes whose dot product tells unsigned, signed and saturating machines apart. */
function probe(memory: WebAssembly.Memory, exports: KernelExports): RelaxedDot {
  const bytes = new Uint8Array(memory.buffer, PROBE, 32);
  bytes.set([127, 127, 127, 127], 0);
  bytes.set([255, 254, 253, 252], 16);
  return (['none', 'unsigned', 'signed'] as const)[exports.probeDot(PROBE)] ?? 'none';
}

/**
 * Turns the import of a shared memory into that of a plain one, by the one flag bit in which they differ; atomic
 * instructions are valid on both.
 */
function makeUnshared(bytes: Uint8Array): void {
  let at = 8;
  while (at < bytes.length) {
    const id = bytes[at];
    const [size, body] = leb(bytes, at + 1);
    if (id === 2) {
      // Imports: count, then module and field names, kind 2 (memory) and the limits' flags.
      let p = leb(bytes, body)[1];
      for (let names = 0; names < 2; names++) {
        const [length, start] = leb(bytes, p);
        p = start + length;
      }
      if (bytes[p] !== 2 || bytes[p + 1] !== 3) break;
      bytes[p + 1] = 1;
      return;
    }
    at = body + size;
  }
  throw new MarianaError('BACKEND_FAILED', 'The kernel module does not import its memory first; rebuild the kernels.');
}

function leb(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] ?? 0;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return [value, at];
  }
}
