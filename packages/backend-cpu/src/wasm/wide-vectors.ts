/**
 * 256-bit vectors. WebAssembly has vectors of 128 bits; V8 can join neighbouring ones to 256-bit instructions on x64
 * (its flag `--experimental-wasm-revectorize`, in Node from 24 on), which doubles what a core multiplies. The kernels
 * that gain have a shape that the engine can join, and are chosen where the flag is on: without it that shape is slow.
 * Numbers are the same either way.
 */
import { MarianaError } from '@mariana/core';

const FLAG = '--experimental-wasm-revectorize';
/** Node's first major version whose V8 joins the vectors that the kernels use. */
const FIRST_NODE = 24;

/** What is used of Node; elsewhere there is no way to set flags from within. */
interface NodeProcess {
  readonly arch: string;
  readonly execArgv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly versions: { readonly node?: string };
  getBuiltinModule?(name: 'node:v8'): { setFlagsFromString(flags: string): void };
}

/** Whether this program set the flag. */
let switchedOn = false;

/** Whether the process was started with the flag, or `enableWideVectors` was called. */
export function wideVectors(): boolean {
  const { execArgv = [], env = {} } = nodeProcess() ?? {};
  return switchedOn || execArgv.includes(FLAG) || (env.NODE_OPTIONS ?? '').split(/\s+/).includes(FLAG);
}

/** Whether this engine can join vectors to 256 bits: Node 24 or newer on x64. */
export function canWidenVectors(): boolean {
  return wideVectors() || flags() !== undefined;
}

/**
 * Switches the flag on for all WebAssembly that this process compiles from now on.
 *
 * @throws MarianaError BACKEND_UNAVAILABLE where there is no such flag
 */
export function enableWideVectors(): void {
  if (wideVectors()) return;
  const v8 = flags();
  if (v8 === undefined) {
    throw new MarianaError(
      'BACKEND_UNAVAILABLE',
      `256-bit vectors need Node ${FIRST_NODE} or newer on x64; leave out \`wideVectors\` here.`,
    );
  }
  v8.setFlagsFromString(FLAG);
  switchedOn = true;
}

/** What sets V8's flags, where it has this one. */
function flags() {
  const node = nodeProcess();
  const version = Number.parseInt(node?.versions.node ?? '', 10);
  return node?.arch === 'x64' && version >= FIRST_NODE ? node.getBuiltinModule?.('node:v8') : undefined;
}

function nodeProcess(): NodeProcess | undefined {
  return (globalThis as { process?: NodeProcess }).process;
}
