/** Processor time of a process and all that it started, for subjects that do their work in other processes. */
import { readdirSync, readFileSync } from 'node:fs';

const TICKS = 100;

/** Seconds that a process and its living descendants have computed; null on a system without /proc. */
export function treeSeconds(root: number): number | null {
  const processes = new Map<number, { parent: number; seconds: number }>();
  let ids: string[];
  try {
    ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return null; // not Linux
  }
  for (const id of ids) {
    const stat = statOf(id);
    if (stat === null) continue;
    // After the name, which is in brackets and may hold anything: state, parent, ..., user and system time.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    processes.set(Number(id), {
      parent: Number(fields[1]),
      seconds: (Number(fields[11]) + Number(fields[12])) / TICKS,
    });
  }
  let seconds = 0;
  for (const id of processes.keys()) {
    let at = id;
    while (at !== root && processes.has(at)) at = processes.get(at)!.parent;
    if (at === root) seconds += processes.get(id)!.seconds;
  }
  return seconds;
}

function statOf(id: string): string | null {
  try {
    return readFileSync(`/proc/${id}/stat`, 'utf8');
  } catch {
    return null; // it has ended since it was listed
  }
}
