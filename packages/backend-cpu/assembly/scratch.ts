/**
 * Where a thread keeps what it works with: each thread hands its own block of `SCRATCH_BYTES` to every kernel.
 * The first two words say for which call the x area was prepared, so that several chunks of one call prepare it once.
 */
export const SCRATCH_X: usize = 64;
export const SCRATCH_X_BYTES: usize = 768 * 1024;
export const SCRATCH_WORK: usize = SCRATCH_X + SCRATCH_X_BYTES;
export const SCRATCH_WORK_BYTES: usize = 768 * 1024;
export const SCRATCH_BYTES: usize = SCRATCH_WORK + SCRATCH_WORK_BYTES;
