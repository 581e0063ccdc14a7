/** The kernels of the CPU backend: memories, threads, and one function for each kernel, on raw pointers. */
export * from './arena.ts';
export * from './attention.ts';
export * from './dense.ts';
export * from './elementwise.ts';
export * from './engine.ts';
export * from './gradients.ts';
export * from './job.ts';
export * from './kernel-module.ts';
export * from './movement.ts';
export * from './packed.ts';
export * from './rows.ts';
export * from './thread-pool.ts';
