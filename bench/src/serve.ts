/**
 * The side of a subject: a program that measures one thing and is told what to do, one JSON object a line on standard
 * input, an answer a line on standard output. The first line out is unasked: what is there, and how long loading took.
 */
import { createInterface } from 'node:readline';

export type Handlers = Readonly<Record<string, (request: never) => unknown>>;

/** Answers requests `{do: name, ...}` by the handler of that name until there are no more, or one is `stop`. */
export async function serve(greeting: object, handlers: Handlers): Promise<void> {
  say(greeting);
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line) as { do: string };
    if (request.do === 'stop') break;
    const handler = handlers[request.do];
    if (handler === undefined) throw new Error(`this subject does not know ${request.do}`);
    say((await handler(request as never)) as object);
  }
}

/** The largest amount of memory that this process has had in RAM. */
export function peakMemory(): { peakBytes: number } {
  return { peakBytes: process.resourceUsage().maxRSS * 1024 };
}

function say(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
