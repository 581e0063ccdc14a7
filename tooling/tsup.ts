/** The one way in which every package of this repository is built: ESM, declarations, no bundled dependencies. */
import { defineConfig, type Options } from 'tsup';

/** Build settings of a package. A package with several entry points gives `entry`, one file for each key of `exports`. */
export function library(options: Options = {}) {
  return defineConfig({
    entry: ['src/index.ts'],
    format: 'esm',
    target: 'es2022',
    dts: true,
    clean: true,
    sourcemap: true,
    // 'node:fs' must keep its prefix: bundlers for the browser tell Node's own modules from packages by it.
    removeNodeProtocol: false,
    ...options,
  });
}
