/** The one way in which every package of this repository is built: ESM, declarations, no bundled dependencies. */
import { defineConfig, type Options } from 'tsup';

export function library(options: Options = {}) {
  return defineConfig({
    entry: ['src/index.ts'],
    format: 'esm',
    target: 'es2022',
    dts: true,
    clean: true,
    sourcemap: true,
    treeshake: true,
    ...options,
  });
}
