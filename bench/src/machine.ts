/**
 * What machine this is, and what else it is doing. The load average counts the benchmark itself and lags by a minute, so
 * it is only shown; what judges a measurement is the time that cores were busy with other processes while it ran.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';

/** Clock ticks a second in /proc/stat: 100 on every Linux that Node runs on. */
const TICKS = 100;

/** Seconds that all cores have spent on anything, stolen time included; null on a system without /proc. */
export function busySeconds(): number | null {
  let stat: string;
  try {
    stat = readFileSync('/proc/stat', 'utf8');
  } catch {
    return null; // not Linux: the caller says that others are not watched
  }
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = stat
    .slice(0, stat.indexOf('\n'))
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS;
}

/** How long something took, and the cores that other processes kept busy meanwhile (null: not known). */
export interface Timed {
  readonly ms: number;
  /** Processor time that the program itself took, all its threads together. */
  readonly cpuMs: number;
  readonly otherCores: number | null;
}

/** Runs `work` and times it; the result is handed back too. */
export async function timed<T>(work: () => T | Promise<T>): Promise<Timed & { readonly result: T }> {
  const busy = busySeconds();
  const own = process.cpuUsage();
  const start = performance.now();
  const result = await work();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(own);
  const cpuMs = (user + system) / 1e3;
  if (busy === null) return { ms, cpuMs, otherCores: null, result };
  const others = (busySeconds()! - busy) * 1e3 - cpuMs;
  return { ms, cpuMs, otherCores: Math.max(0, others) / ms, result };
}

/** Runs `work` and times it. */
export async function time(work: () => unknown): Promise<Timed> {
  const { ms, cpuMs, otherCores } = await timed(work);
  return { ms, cpuMs, otherCores };
}

/** The cores that are busy over the next moment, while this program only waits. */
export async function otherCoresNow(ms = 1000): Promise<number | null> {
  return (await time(() => new Promise((resolve) => setTimeout(resolve, ms)))).otherCores;
}

/** The load average over one minute. */
export function load(): number {
  return loadavg()[0]!;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly platform: string;
  readonly node: string;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  };
}
