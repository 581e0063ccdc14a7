/**
 * What a page does, from a trace of the browser: by the time that the processor spent on it. How long something took by the
 * clock says as much of whatever else the machine does.
 */
import type { Browser, Page } from 'playwright';

export interface Task {
  /** Milliseconds of processor time. */
  readonly milliseconds: number;
  /** What it was spent on, largest first. */
  readonly parts: readonly string[];
}

export interface Trace {
  /** Of main threads. */
  readonly tasks: readonly Task[];
  /** Milliseconds of processor time of everything but workers: scripts, layout, painting, compositing. */
  readonly processor: number;
}

/** An event of the trace format of Chromium; times are in microseconds. */
interface TraceEvent {
  readonly ph: string;
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly tdur?: number;
  readonly args: { readonly name?: string; readonly data?: { readonly functionName?: string; readonly url?: string } };
}

/** What the browser did while something was done. */
export async function traced(browser: Browser, page: Page, work: () => Promise<unknown>): Promise<Trace> {
  await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] });
  await work();
  const trace = await browser.stopTracing();
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: readonly TraceEvent[] };
  const threads = new Map(
    traceEvents
      .filter(({ name }) => name === 'thread_name')
      .map(({ pid, tid, args }) => [`${pid}:${tid}`, args.name ?? ''] as const),
  );
  const threadOf = ({ pid, tid }: TraceEvent) => threads.get(`${pid}:${tid}`) ?? '';
  const events = traceEvents.filter((event) => event.ph === 'X');
  const all = events.filter(({ name }) => name.endsWith('RunTask'));
  const tasks = all.filter((event) => threadOf(event) === 'CrRendererMain');
  if (tasks.length === 0) throw new Error('the trace has no task of a main thread');
  return {
    tasks: tasks.map((task) => ({ milliseconds: cpu(task), parts: cpu(task) > 25 ? partsOf(task, events) : [] })),
    processor: all
      .filter((event) => !threadOf(event).startsWith('DedicatedWorker'))
      .reduce((sum, event) => sum + cpu(event), 0),
  };
}

function partsOf(task: TraceEvent, events: readonly TraceEvent[]): string[] {
  const isWithin = (event: TraceEvent) =>
    event !== task &&
    event.pid === task.pid &&
    event.tid === task.tid &&
    event.ts >= task.ts &&
    event.ts < task.ts + (task.dur ?? 0);
  return events
    .filter((event) => isWithin(event) && cpu(event) > 2 && !event.name.includes('Task'))
    .sort((a, b) => cpu(b) - cpu(a))
    .map((event) => {
      const { functionName = '', url = '' } = event.args.data ?? {};
      return `${event.name} ${functionName} ${url.split('/').at(-1)} ${Math.round(cpu(event))} ms`.replace(/ +/g, ' ');
    });
}

function cpu({ tdur = 0 }: TraceEvent): number {
  return tdur / 1000;
}
