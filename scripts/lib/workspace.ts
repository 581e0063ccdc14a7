/**
 * The packages of this workspace as pnpm sees them, with the parts of package.json that the scripts look at.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The root folder of the repository. */
export const ROOT = join(import.meta.dirname, '..', '..');

/** A target of `exports` or `imports`: a file, or more targets by condition. */
export type ExportTarget = string | { [condition: string]: ExportTarget };

/** The fields of a package.json that the scripts read. */
export interface Manifest {
  name: string;
  version?: string;
  description?: string;
  license?: string;
  type?: string;
  private?: boolean;
  sideEffects?: unknown;
  engines?: Record<string, string>;
  files?: string[];
  bin?: Record<string, string>;
  exports?: Record<string, ExportTarget>;
  imports?: Record<string, ExportTarget>;
  publishConfig?: {
    access?: string;
    exports?: Record<string, ExportTarget>;
    imports?: Record<string, ExportTarget>;
  };
  scripts?: Record<string, string>;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

/** A workspace package: its folder (absolute) and its package.json. */
export interface WorkspacePackage {
  folder: string;
  manifest: Manifest;
}

/** Reads a package.json. Throws where there is none or it is not JSON. */
export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** All packages of the workspace but its root, in the order of their names. */
export function workspacePackages(): WorkspacePackage[] {
  const listed = execFileSync('pnpm', ['list', '--recursive', '--depth', '-1', '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  const folders = (JSON.parse(listed) as { path: string }[]).map(({ path }) => path);
  return folders
    .map((folder) => ({ folder, manifest: readManifest(folder) }))
    .filter(({ manifest }) => manifest.name !== 'mariana')
    .sort((a, b) => (a.manifest.name < b.manifest.name ? -1 : 1));
}

/** The packages that are published: those not marked private. */
export function publicPackages(): WorkspacePackage[] {
  return workspacePackages().filter(({ manifest }) => manifest.private !== true);
}

/** The files that a target of `exports` or `imports` leads to, with the conditions on the way, as in `['types']`. */
export function targets(target: ExportTarget, conditions: string[] = []): { conditions: string[]; file: string }[] {
  if (typeof target === 'string') return [{ conditions, file: target }];
  return Object.entries(target).flatMap(([condition, inner]) => targets(inner, [...conditions, condition]));
}
