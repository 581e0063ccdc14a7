/** `mariana score`: how probable a text is under a model. */
import { MarianaError } from '@mariana/core';
import { logSoftmax, type Model, score as scoreTokens } from '@mariana/runtime';
import { exact, rate, rounded, table } from '../format.ts';
import { type Io, print, printJson, remark } from '../io.ts';
import { loadModel, type ModelOptions } from '../load-model.ts';
import { checkFolderOf, scoreIntoFile } from '../logits-file.ts';
import { Progress } from '../progress.ts';
import { readTextFile } from '../text-file.ts';

export interface ScoreFlags extends ModelOptions {
  readonly text?: string;
  readonly file?: string;
  readonly ids?: readonly number[];
  readonly logits?: string;
  readonly mtp?: true;
  readonly data?: readonly string[];
  readonly field?: string;
  readonly context?: number;
}

export async function score(flags: ScoreFlags, io: Io): Promise<void> {
  const { file, data, logits: path, mtp = false } = flags;
  if ([flags.text, file, flags.ids, data].filter((input) => input !== undefined).length !== 1) {
    throw new MarianaError(
      'USAGE',
      'give what to score as one of --text TEXT, --file FILE, --ids 1,2,3 or --data FILE.jsonl',
    );
  }
  if (data !== undefined) {
    if (path !== undefined || mtp) {
      throw new MarianaError('USAGE', '--logits and --mtp are for one text; leave them out, or --data');
    }
    // Reading data takes packages that scoring a text does not.
    await (await import('./score-data.ts')).scoreData({ ...flags, data }, io);
    return;
  }
  if (flags.field !== undefined || flags.context !== undefined) {
    throw new MarianaError('USAGE', '--field and --context are for --data; leave them out');
  }
  const text = file === undefined ? flags.text : await readTextFile(file);
  if (path !== undefined) await checkFolderOf(path);

  using loaded = await loadModel(flags, io, { mtp });
  const { model, loadMs } = loaded;
  const ids = flags.ids ?? model.requireTokenizer().encode(text!);
  const progress = new Progress(io, {
    label: 'scoring',
    amount: (tokens) => `${exact(tokens)} tokens`,
    quiet: flags.quiet === true,
  });
  const drafts = new DraftScore(ids, model.config.vocabSize);
  let done = 0;
  const options = {
    mtp,
    signal: io.interrupts.signal,
    onLogits(logits: Float32Array) {
      done += logits.length / model.config.vocabSize;
      progress.update(done, ids.length);
    },
    onMtpLogits: (logits: Float32Array) => drafts.add(logits),
  };
  const started = performance.now();
  try {
    const result = await (path === undefined
      ? scoreTokens(model, ids, options)
      : scoreIntoFile(model, ids, path, options));
    progress.end();
    const bytes = text === undefined ? byteLength(model, ids) : Buffer.byteLength(text);
    const figures = {
      tokens: ids.length,
      totalLogprob: result.totalLogprob,
      perplexity: result.perplexity,
      bytes,
      bitsPerByte: bytes === null ? null : -result.totalLogprob / Math.LN2 / bytes,
      ...(mtp && { mtp: drafts.result() }),
    };
    if (flags.json) {
      printJson(io, {
        model: model.name,
        backend: model.backend.name,
        ids,
        logprobs: result.logprobs,
        ...figures,
        ...(path !== undefined && { logits: path }),
        timings: { loadMs: rounded(loadMs), tokensPerSecond: rate(ids.length, performance.now() - started) },
      });
      return;
    }
    for (const line of describe(figures)) print(io, line);
    if (path !== undefined && !flags.quiet) remark(io, `logits written to ${path}`);
  } finally {
    progress.end();
  }
}

/** Bytes of the text that ids stand for; null where they stand for none. */
function byteLength({ tokenizer }: Model, ids: readonly number[]): number | null {
  if (tokenizer === null) return null;
  const isText = (id: number) => tokenizer.idToToken(id) !== undefined && !tokenizer.specialTokenIds.has(id);
  const bytes = ids.reduce((sum, id) => (isText(id) ? sum + tokenizer.tokenBytes(id).length : sum), 0);
  return bytes === 0 ? null : bytes;
}

/** The score of the multi-token-prediction module: its row i predicts token i + 2. */
class DraftScore {
  readonly #ids: readonly number[];
  readonly #vocabSize: number;
  #row = 0;
  #scored = 0;
  #totalLogprob = 0;

  constructor(ids: readonly number[], vocabSize: number) {
    this.#ids = ids;
    this.#vocabSize = vocabSize;
  }

  add(logits: Float32Array): void {
    for (let start = 0; start < logits.length; start += this.#vocabSize, this.#row++) {
      const id = this.#ids[this.#row + 2];
      if (id === undefined) continue;
      this.#totalLogprob += logSoftmax(logits.subarray(start, start + this.#vocabSize))[id]!;
      this.#scored++;
    }
  }

  result(): { totalLogprob: number; perplexity: number | null } {
    const perplexity = this.#scored === 0 ? null : Math.exp(-this.#totalLogprob / this.#scored);
    return { totalLogprob: this.#totalLogprob, perplexity };
  }
}

interface Figures {
  readonly tokens: number;
  readonly totalLogprob: number;
  readonly perplexity: number | null;
  readonly bytes: number | null;
  readonly bitsPerByte: number | null;
  readonly mtp?: { readonly perplexity: number | null };
}

function describe({ tokens, totalLogprob, perplexity, bytes, bitsPerByte, mtp }: Figures): string[] {
  const number = (value: number | null) => (value === null ? '-' : value.toFixed(4));
  const rows = [
    ['tokens', exact(tokens)],
    ['bytes', bytes === null ? '-' : exact(bytes)],
    ['log-probability (nats)', number(totalLogprob)],
    ['perplexity', number(perplexity)],
    ['bits per byte', number(bitsPerByte)],
  ];
  if (mtp !== undefined) rows.push(['perplexity of the draft (MTP)', number(mtp.perplexity)]);
  return table(rows, '');
}
