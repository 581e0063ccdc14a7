/**
 * Chat templates: the Jinja program of a checkpoint that lays a conversation out as the text that the model was
 * trained on. `@huggingface/jinja` interprets it; here are the few things around it that Hugging Face's
 * `apply_chat_template` promises to a template: the names `range`, `raise_exception` and `strftime_now`, and limits, as
 * a template comes with a download and must not be able to hang the program that renders it.
 */
import { Environment, Interpreter, parse, Template, tokenize } from '@huggingface/jinja';
import { MarianaError } from '@mariana/core';
import { describe, invalid } from './invalid.ts';

/** The longest `range`, that of Jinja's sandbox, in which Hugging Face renders templates. */
const MAX_RANGE = 100_000;

/** All ranges of one rendering together: nested loops multiply, and Jinja's own limit does not see that. */
const MAX_RANGE_TOTAL = 10 * MAX_RANGE;

/** A parsed chat template, which renders conversations. */
export class ChatTemplate {
  readonly #program: ReturnType<typeof parse>;

  /** @throws MarianaError `TOKENIZER_INVALID` for a source that is not Jinja */
  constructor(source: string) {
    try {
      this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    } catch (cause) {
      throw invalid('chat template', '', `cannot be read: ${describe(cause)}`, cause);
    }
  }

  /**
   * The template's output for `variables`.
   * @throws MarianaError `INVALID_ARGUMENT` where the template refuses the variables or fails on them
   */
  render(variables: Readonly<Record<string, unknown>>): string {
    try {
      const environment = new Environment();
      for (const [name, value] of Object.entries({ ...globals(), ...variables })) environment.set(name, value);
      return String(new Interpreter(environment).run(this.#program).value);
    } catch (cause) {
      if (cause instanceof MarianaError) throw cause;
      throw new MarianaError('INVALID_ARGUMENT', `The chat template fails on these messages: ${describe(cause)}`, {
        cause,
      });
    }
  }
}

/** The names that every template may use, with `range` counting anew. */
function globals(): Record<string, unknown> {
  let left = MAX_RANGE_TOTAL;
  const range = (...bounds: number[]) => {
    const [start, stop, step] = bounds.length === 1 ? [0, bounds[0], 1] : [bounds[0], bounds[1], bounds[2] ?? 1];
    const length = Math.max(0, Math.ceil((Number(stop) - Number(start)) / Number(step)));
    if (!(length <= MAX_RANGE && length <= left)) throw new Error(`range(${bounds.join(', ')}) is too long`);
    left -= length;
    return Array.from({ length }, (_, i) => Number(start) + i * Number(step));
  };
  const raise_exception = (message: unknown) => {
    throw new MarianaError('INVALID_ARGUMENT', `The chat template refuses these messages: ${String(message)}`);
  };
  const strftime_now = (format: unknown) => new Template('{{ strftime_now(format) }}').render({ format });
  return {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range,
    raise_exception,
    strftime_now,
  };
}
