/** Runs a program and waits for it. */
import { spawn } from 'node:child_process';

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** @throws Error with the end of what it printed, if it fails or is not there */
export function command(name: string, args: readonly string[], { cwd, env }: CommandOptions = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      ...(cwd !== undefined && { cwd }),
    });
    let printed = '';
    const keep = (data: Buffer) => {
      printed = (printed + data.toString()).slice(-4000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => reject(new Error(`${name} cannot be started: ${error.message}`)));
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${name} ${args[0] ?? ''} failed: ${printed.trim().split('\n').slice(-5).join(' / ')}`));
    });
  });
}
