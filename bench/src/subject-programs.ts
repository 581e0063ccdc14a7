/** Where the programs of the subjects are, and how those of Node are called. */
import { fileURLToPath } from 'node:url';
import type { Spec } from './run-group.ts';

const CONDITIONS = '--conditions=@mariana/source';

/** For those in Python: they import one another, and leave no compiled files in the sources. */
export const PYTHON_ENV = { PYTHONDONTWRITEBYTECODE: '1' } as const;

export function program(name: string): string {
  return fileURLToPath(new URL(`subjects/${name}`, import.meta.url));
}

export function node(name: string, ...args: (string | number)[]): Pick<Spec, 'command' | 'args'> {
  return { command: process.execPath, args: [CONDITIONS, program(name), ...args.map(String)] };
}
