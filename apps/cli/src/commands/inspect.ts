/**
 * `mariana inspect`: what a model is made of and what it takes to run it, from its config alone; and, where there are
 * weights, whether they are all there and fit the config.
 */
import { account } from '../inspect/account.ts';
import { describe } from '../inspect/describe.ts';
import { look } from '../inspect/look.ts';
import { type Io, print, printJson } from '../io.ts';
import { modelPlace } from '../model-place.ts';

export interface InspectFlags {
  readonly json?: true;
  readonly context?: number;
}

/** Tokens of context that operations are counted at, where the model has so many. */
const CONTEXT = 4096;

export async function inspect(target: string, flags: InspectFlags, io: Io): Promise<void> {
  const inspected = await look(modelPlace(target));
  const { source, kind, config, checkpoint } = inspected;
  const figures = account(config, flags.context ?? Math.min(CONTEXT, config.maxPositionEmbeddings));
  if (flags.json) {
    printJson(io, { source, kind, ...figures, checkpoint });
    return;
  }
  for (const line of describe(inspected, figures)) print(io, line);
}
