/** `mariana generate`: goes on from a prompt. */
import { MarianaError } from '@mariana/core';
import type { GeneratedChunk, Session } from '@mariana/runtime';
import { answer, describeAnswer } from '../answer.ts';
import { duration, exact, rate, rounded } from '../format.ts';
import { type Io, print, printJson, remark, showable } from '../io.ts';
import { loadModel, type ModelOptions, openSession } from '../load-model.ts';
import { Progress } from '../progress.ts';
import { type SamplingFlags, samplingOptions } from '../sampling-options.ts';

export interface GenerateFlags extends ModelOptions, SamplingFlags {
  readonly prompt?: string;
  readonly ids?: readonly number[];
  readonly echo?: true;
  readonly logprobs?: number;
  readonly context?: number;
  readonly speculate?: true;
}

export async function generate(flags: GenerateFlags, io: Io): Promise<void> {
  const { prompt, ids } = flags;
  if ((prompt === undefined) === (ids === undefined)) {
    throw new MarianaError('USAGE', 'give the prompt either as --prompt TEXT or as --ids 1,2,3');
  }
  const speculate = flags.speculate === true;
  using loaded = await loadModel(flags, io, { mtp: speculate });
  const { model, loadMs } = loaded;
  const { signal } = io.interrupts;
  using session = openSession(model, flags);
  const promptIds = ids ?? model.requireTokenizer().encode(prompt!);
  // Raw tokens in, raw tokens out: as many as were asked for, whatever they mean.
  const sampling = samplingOptions({ ...flags, ignoreEos: flags.ignoreEos ?? ids !== undefined });
  if (ids !== undefined) checkRoom(session, ids.length, flags.maxTokens);

  const progress = new Progress(io, {
    label: 'reading the prompt',
    amount: (tokens) => `${exact(tokens)} tokens`,
    quiet: flags.quiet === true,
  });
  const options = {
    ...sampling,
    signal,
    topLogprobs: flags.logprobs ?? 0,
    onProgress: (done: number, total: number) => progress.update(done, total),
  };
  const echo = flags.echo ? (prompt ?? model.tokenizer?.decode(promptIds) ?? promptIds.join()) : '';
  const show = flags.json ? () => {} : showChunk(io, model.tokenizer === null, echo);
  const result = await answer(session, promptIds, options, (chunk) => {
    progress.end();
    show(chunk);
  }).finally(() => progress.end());
  const { prefillMs } = result;
  if (!flags.json) {
    print(io);
    if (!flags.quiet) {
      const speed = `${exact(promptIds.length)} tokens read in ${duration(prefillMs)}`;
      remark(io, `loaded in ${duration(loadMs)}, ${speed}, ${describeAnswer(result)}`);
      const { drafted, accepted } = session.speculation;
      if (speculate) remark(io, `${exact(accepted)} of ${exact(drafted)} drafted tokens were right`);
    }
    return;
  }
  printJson(io, {
    model: model.name,
    backend: model.backend.name,
    promptIds,
    ids: result.ids,
    text: result.text,
    finishReason: result.finishReason,
    ...(speculate && { speculation: session.speculation }),
    seed: flags.temperature === 0 ? null : sampling.seed,
    ...(flags.logprobs !== undefined && {
      logprobs: result.chunks.map(({ id, logprob, topLogprobs }) => ({ id, logprob, top: topLogprobs })),
    }),
    timings: {
      loadMs: rounded(loadMs),
      prefillTokensPerSecond: rate(promptIds.length, prefillMs),
      decodeTokensPerSecond: result.decodeTokensPerSecond,
    },
  });
}

/** A text may end where the context does; a list of tokens of a given length may not. */
function checkRoom(session: Session, prompt: number, maxTokens: number | undefined): void {
  const { contextLength } = session;
  if (maxTokens === undefined || prompt + maxTokens <= contextLength) return;
  throw new MarianaError(
    'CONTEXT_EXCEEDED',
    `${prompt} prompt tokens and ${maxTokens} new ones do not fit the context of ${contextLength}; ask for fewer`,
    { details: { tokens: prompt, maxTokens, contextLength } },
  );
}

/** Streams text, or ids where there is no text, after what is to be shown before it. */
function showChunk(io: Io, hasNoText: boolean, before: string): (chunk: GeneratedChunk) => void {
  let separator = hasNoText && before !== '' ? ',' : '';
  let isFirst = true;
  return ({ id, text }) => {
    if (isFirst) io.stdout.write(showable(io, before));
    isFirst = false;
    if (!hasNoText) {
      io.stdout.write(showable(io, text));
      return;
    }
    io.stdout.write(`${separator}${id}`);
    separator = ',';
  };
}
