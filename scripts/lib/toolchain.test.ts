import { expect, test } from 'vitest';
import { nodeIsEnough, nodePackage, pinnedPnpm, pnpmIsEnough } from './toolchain.mjs';

test.each([
  ['v20.20.2', false],
  ['v22.18.0', false],
  ['v24.10.0', false],
  ['v24.11.0', true],
  ['24.21.0', true],
  ['v25.4.0', false], // vitest, tsup and changesets leave out the odd, short-lived lines
  ['v26.0.0', true],
  ['', false],
  ['sh: node: not found', false],
])('Node %j is enough: %s', (version, enough) => {
  expect(nodeIsEnough(version)).toBe(enough);
});

test.each([
  ['12.0.3', true],
  ['13.1.0', false],
  ['9.15.0', false],
  ['', false],
])('pnpm %j is enough where 12.21.0 is pinned: %s', (version, enough) => {
  expect(pnpmIsEnough(version, '12.21.0')).toBe(enough);
});

test('the packages named for each platform carry a Node that is enough', () => {
  for (const platform of ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64', 'win32-arm64']) {
    const [os, arch] = platform.split('-') as [string, string];
    expect(nodeIsEnough(nodePackage(os, arch, false)?.version ?? ''), platform).toBe(true);
  }
});

test('a platform without a package of Node has none, and neither has musl', () => {
  expect(nodePackage('sunos', 'x64', false)).toBeUndefined();
  expect(nodePackage('linux', 'x64', true)).toBeUndefined();
});

test('the pinned pnpm is read from packageManager, with or without a hash, and nothing else will do', () => {
  expect(pinnedPnpm('{"packageManager":"pnpm@12.21.0"}')).toBe('12.21.0');
  expect(pinnedPnpm('{"packageManager":"pnpm@12.21.0+sha512.abc"}')).toBe('12.21.0');
  expect(() => pinnedPnpm('{"packageManager":"yarn@4.0.0"}')).toThrow('packageManager');
  expect(() => pinnedPnpm('{}')).toThrow('packageManager');
});
