/** `mariana score --data`: how well a model predicts files of documents, in bits per byte. */
import { readDocuments } from '@mariana/train/node';
import { exact, rate, rounded, table } from '../format.ts';
import { type Io, print, printJson } from '../io.ts';
import { loadModel, type ModelOptions } from '../load-model.ts';
import { Progress } from '../progress.ts';
import { encodeDocuments, scoreDocuments } from '../score/score-documents.ts';

export interface ScoreDataFlags extends ModelOptions {
  readonly data: readonly string[];
  readonly field?: string;
  readonly context?: number;
}

export async function scoreData(flags: ScoreDataFlags, io: Io): Promise<void> {
  const { data, field, context } = flags;
  const { signal } = io.interrupts;
  using loaded = await loadModel(flags, io);
  const { model, loadMs } = loaded;
  // All of it before the first token is scored: a line that cannot be read is told at once.
  const pieces = readDocuments(data, field === undefined ? {} : { field });
  const { documents, tokens, bytes } = await encodeDocuments(pieces, model.requireTokenizer(), signal);
  const progress = new Progress(io, {
    label: 'scoring',
    amount: (count) => `${exact(count)} tokens`,
    quiet: flags.quiet === true,
  });
  const started = performance.now();
  const totalLogprob = await scoreDocuments(model, documents, {
    ...(context !== undefined && { context }),
    signal,
    onProgress: (done) => progress.update(done, tokens),
  }).finally(() => progress.end());
  const perplexity = Math.exp(-totalLogprob / tokens);
  const bitsPerByte = -totalLogprob / Math.LN2 / bytes;
  if (flags.json) {
    printJson(io, {
      model: model.name,
      backend: model.backend.name,
      documents: documents.length,
      tokens,
      bytes,
      context: context ?? model.config.maxPositionEmbeddings,
      totalLogprob,
      perplexity,
      bitsPerByte,
      timings: { loadMs: rounded(loadMs), tokensPerSecond: rate(tokens, performance.now() - started) },
    });
    return;
  }
  const rows = [
    ['documents', exact(documents.length)],
    ['tokens', exact(tokens)],
    ['bytes', exact(bytes)],
    ['log-probability (nats)', totalLogprob.toFixed(4)],
    ['perplexity', perplexity.toFixed(4)],
    ['bits per byte', bitsPerByte.toFixed(4)],
  ];
  for (const line of table(rows, '')) print(io, line);
}
