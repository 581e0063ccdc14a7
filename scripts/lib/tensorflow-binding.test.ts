import { expect, test } from 'vitest';
import { bindingFolder, refusal, Unavailable } from './tensorflow-binding.ts';
import { ROOT } from './workspace.ts';

test('what was fetched is kept outside the repository, where the user keeps caches', () => {
  expect(bindingFolder({ XDG_CACHE_HOME: '/c' })).toMatch(/^\/c\/mariana-node-gpu\/tfjs-4\S+-tensorflow-2\S+$/);
  expect(bindingFolder({})).toMatch(/[\\/]\.cache[\\/]mariana-node-gpu[\\/]/);
  expect(bindingFolder({}).startsWith(ROOT)).toBe(false);
});

test.each([
  [
    'pip without a network',
    'PyPI',
    "WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError(': Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/tensorflow-cpu/\nERROR: No matching distribution found for tensorflow-cpu==2.15.1",
  ],
  ['npm without a network', 'npm', 'npm error code ENOTFOUND\nnpm error request to https://registry.npmjs.org failed'],
])('%s is a reason to skip', (_, registry, output) => {
  const error = refusal(registry, output);
  expect(error).toBeInstanceOf(Unavailable);
  expect(error.message).toMatch(new RegExp(`^${registry} cannot be reached \\(.*(NewConnectionError|ENOTFOUND)`));
});

test.each([
  [
    'a wrong hash, after a retry',
    'WARNING: Retrying after ReadTimeoutError\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES',
  ],
  ['a version that is gone', 'ERROR: No matching distribution found for tensorflow-cpu==2.15.1'],
])('%s is a failure', (_, output) => {
  const error = refusal('PyPI', output);
  expect(error).not.toBeInstanceOf(Unavailable);
  expect(error.message).toContain(output);
});
