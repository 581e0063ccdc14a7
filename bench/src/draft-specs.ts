/** The subjects of speculative decoding: the model that comes along, with drafts and without. */
import { fileURLToPath } from 'node:url';
import type { Options } from './options.ts';
import type { Probe, Spec } from './run-group.ts';
import { node } from './subject-programs.ts';

const MODEL = fileURLToPath(new URL('../../packages/model-stories/model', import.meta.url));
const PROMPTS = ['Once upon a time', 'One day, a little girl', 'Tom and Anna'];

/** `native` is what the model has by default: FP8, with BF16 embeddings and head. */
export const DRAFT_FORMATS = ['native', 'int8'] as const;
export const storyTeller = (format: string, drafts: boolean) =>
  `stories ${format}, ${drafts ? 'with drafts' : 'without'}`;
export const TELL = 'stories';
export const ACCEPTED = 'drafts right';

interface Told {
  readonly ms: number;
  readonly tokens: number;
  readonly drafted: number;
  readonly accepted: number;
}

export function draftSpecs({ quick, threads }: Options): Spec[] {
  const request = { do: 'tell', prompts: quick ? PROMPTS.slice(0, 1) : PROMPTS, most: quick ? 60 : 300 };
  const tell: Probe = { metric: TELL, request, value: ({ tokens, ms }: Told) => tokens / (ms / 1e3) };
  const accepted: Probe = {
    metric: ACCEPTED,
    request,
    value: ({ accepted: right, drafted }: Told) => right / drafted,
  };
  return threads.flatMap((count) =>
    DRAFT_FORMATS.flatMap((format) =>
      [false, true].map((drafts) => ({
        name: storyTeller(format, drafts),
        threads: count,
        ...node('mariana-drafts.ts', MODEL, format, count, drafts ? 'drafts' : 'none'),
        probes: drafts ? [tell, accepted] : [tell],
      })),
    ),
  );
}
