/**
 * The kernels, the threads and the memories together: what a backend holds one of. Activations live in `arena`; weights
 * are placed by `allocWeights`, in further arenas once the first is full.
 */
import { Arena } from './arena.ts';
import { Job } from './job.ts';
import { KernelModule, type KernelModuleOptions } from './kernel-module.ts';
import { ThreadPool, type ThreadPoolOptions } from './thread-pool.ts';

export interface KernelEngineOptions extends KernelModuleOptions, ThreadPoolOptions {
  /** How far each memory may grow, in bytes. Default: 4 GiB - 64 KiB. */
  maximumBytes?: number | undefined;
}

/** A place for weights. */
export interface Block {
  readonly arena: Arena;
  readonly at: number;
}

export class KernelEngine {
  readonly kernels: KernelModule;
  readonly pool: ThreadPool;
  /** All memories; the first one holds activations. */
  readonly arenas: Arena[] = [];
  readonly #jobs: Job[] = [];
  readonly #maximumBytes: number | undefined;

  private constructor(kernels: KernelModule, options: KernelEngineOptions) {
    this.kernels = kernels;
    this.#maximumBytes = options.maximumBytes;
    this.pool = new ThreadPool(kernels, options);
    this.#addArena();
  }

  /**
   * Compiles the kernels, starts the threads and makes the first memory. Does not wait for the threads: jobs run without
   * them until they are up (`pool.ready`).
   *
   * @throws MarianaError BACKEND_UNAVAILABLE, INVALID_ARGUMENT or OUT_OF_MEMORY, as `KernelModule.load`, `ThreadPool`
   *   and `Arena` do
   */
  static async create(options: KernelEngineOptions = {}): Promise<KernelEngine> {
    return new KernelEngine(await KernelModule.load(options), options);
  }

  /** The memory of activations. */
  get arena(): Arena {
    return this.arenas[0]!;
  }

  /** The empty job of an arena: fill it, `run` it, and do not hold two at a time. */
  job(arena: Arena = this.arena): Job {
    return this.#jobs[arena.index]!;
  }

  /**
   * Memory for weights in the first arena that has room, or in a new one.
   *
   * @throws MarianaError OUT_OF_MEMORY if the engine gives no more
   */
  allocWeights(bytes: number): Block {
    for (const arena of this.arenas) {
      // Some of every arena stays free for copies of activations, and most of it in the first.
      const reserve = arena.index === 0 ? 256 * 1024 * 1024 : 32 * 1024 * 1024;
      if (arena.freeBytes < bytes + Math.min(reserve, this.#arenaBytes() / 4)) continue;
      const at = arena.tryAlloc(bytes);
      if (at !== undefined) return { arena, at };
    }
    const arena = this.#addArena();
    return { arena, at: arena.alloc(bytes) };
  }

  /** Stops the threads. The memories go when nothing refers to the engine any more. */
  async dispose(): Promise<void> {
    await this.pool.dispose();
  }

  #arenaBytes(): number {
    return this.#maximumBytes ?? 2 ** 32;
  }

  #addArena(): Arena {
    const arena = new Arena(this.kernels, this.arenas.length, this.#maximumBytes);
    this.arenas.push(arena);
    this.#jobs.push(new Job(arena, this.pool));
    this.pool.addArena(arena);
    return arena;
  }
}
