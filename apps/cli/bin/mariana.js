#!/usr/bin/env node
// The command as it is linked into node_modules/.bin. The link is made when packages are installed, which is before
// the program is built, so it must point at a file that is always there.
import { existsSync } from 'node:fs';

const program = new URL('../dist/main.js', import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  console.error('error [USAGE]: mariana is not built yet; run `pnpm build` in the root of the repository');
  process.exitCode = 2;
}
