/**
 * `mariana chat`: a conversation. Each turn is laid out by the model's own chat template; the session keeps what it has
 * read, so that only the new turn is. Ctrl-C stops an answer, and at the prompt ends the program.
 */
import { createInterface, type Interface } from 'node:readline';
import { isMarianaError, MarianaError } from '@mariana/core';
import type { Model, Session } from '@mariana/runtime';
import type { ChatMessage } from '@mariana/tokenizer';
import { type Answer, answer, describeAnswer } from '../answer.ts';
import { exact } from '../format.ts';
import { type Io, print, printJson, remark, showable } from '../io.ts';
import { loadModel, type ModelOptions, openSession } from '../load-model.ts';
import { type SamplingFlags, samplingOptions } from '../sampling-options.ts';

export interface ChatFlags extends ModelOptions, SamplingFlags {
  readonly system?: string;
  readonly context?: number;
  readonly speculate?: true;
}

const HELP = 'Type a message. /reset forgets the conversation, /exit ends it, ctrl-C stops an answer.';

export async function chat(flags: ChatFlags, io: Io): Promise<void> {
  using loaded = await loadModel(flags, io, { mtp: flags.speculate === true });
  const { model } = loaded;
  if (!model.requireTokenizer().hasChatTemplate()) {
    throw new MarianaError(
      'TOKENIZER_MISSING',
      `${model.name}: the model has no chat template; put chat_template.jinja beside tokenizer.json, or use generate`,
    );
  }
  const isDialogue = io.stdin.isTTY === true && io.stdout.isTTY === true && flags.json === undefined;
  using session = openSession(model, flags);
  const conversation = new Conversation(model, session, flags, io);
  if (isDialogue) remark(io, HELP);
  await readLines(io, isDialogue, conversation);
}

/** Gives each line to the conversation, one after the other, until the input or the person ends. */
async function readLines(io: Io, isDialogue: boolean, conversation: Conversation): Promise<void> {
  const lines = createInterface({
    input: io.stdin,
    ...(isDialogue && { output: io.stdout as unknown as NodeJS.WritableStream }),
    terminal: isDialogue,
    prompt: '> ',
  });
  // On a terminal readline sees ctrl-C before the process does.
  lines.on('SIGINT', () => io.interrupts.interrupt());
  using _ = io.interrupts.handle(() => {
    if (!conversation.stop()) lines.close();
  });
  try {
    if (isDialogue) lines.prompt();
    for await (const line of linesOf(lines)) {
      const input = line.trim();
      if (input === '/exit') return;
      try {
        await conversation.say(input);
      } catch (error) {
        // A person can go on after a mistake; a script should hear of it.
        if (!isDialogue || !isMarianaError(error)) throw error;
        remark(io, `error [${error.code}]: ${error.message}`);
      }
      if (isDialogue) lines.prompt();
    }
    if (isDialogue) print(io);
  } finally {
    lines.close();
  }
}

/** Lines as they come; those that come during an answer wait. */
async function* linesOf(lines: Interface): AsyncGenerator<string, void, undefined> {
  const waiting: string[] = [];
  let closed = false;
  let wake = () => {};
  lines.on('line', (line) => {
    waiting.push(line);
    wake();
  });
  lines.on('close', () => {
    closed = true;
    wake();
  });
  while (true) {
    const line = waiting.shift();
    if (line !== undefined) yield line;
    else if (closed) return;
    else {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
}

/** The messages so far, and the session that has read them. */
class Conversation {
  readonly #model: Model;
  readonly #session: Session;
  readonly #flags: ChatFlags;
  readonly #io: Io;
  #messages: ChatMessage[] = [];
  #answering: AbortController | undefined;

  constructor(model: Model, session: Session, flags: ChatFlags, io: Io) {
    this.#model = model;
    this.#session = session;
    this.#flags = flags;
    this.#io = io;
    this.#reset();
  }

  /** Stops the answer that is being given. Returns whether there was one. */
  stop(): boolean {
    this.#answering?.abort();
    return this.#answering !== undefined;
  }

  /** Takes a line of the person: a command, or a message, which is answered. */
  async say(input: string): Promise<void> {
    if (input === '') return;
    if (input === '/reset') return this.#reset();
    if (input === '/help') return remark(this.#io, HELP);
    if (input.startsWith('/')) {
      throw new MarianaError('USAGE', `there is no command ${input}; there are /reset, /exit and /help`);
    }
    const before = this.#messages.length;
    this.#messages.push({ role: 'user', content: input });
    try {
      await this.#answer();
    } catch (error) {
      this.#messages.length = before; // what failed was not said
      throw error;
    }
  }

  #reset(): void {
    this.#messages = this.#flags.system === undefined ? [] : [{ role: 'system', content: this.#flags.system }];
  }

  async #answer(): Promise<void> {
    const io = this.#io;
    const ids = this.#model.requireTokenizer().encodeChat(this.#messages, { addGenerationPrompt: true });
    this.#answering = new AbortController();
    const { signal } = this.#answering;
    try {
      const kept = await this.#sync(ids, signal);
      const show = ({ text }: { text: string }) => {
        if (!this.#flags.json) io.stdout.write(showable(io, text));
      };
      const result = await answer(this.#session, [], samplingOptions(this.#flags), show, signal);
      this.#messages.push({ role: 'assistant', content: result.text });
      this.#tell(result, kept, ids.length);
    } finally {
      this.#answering = undefined;
    }
  }

  /** Reads what is new of the conversation. Stopped while it reads, it answers nothing. */
  async #sync(ids: readonly number[], signal: AbortSignal): Promise<number> {
    try {
      return await this.#session.sync(ids, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
      return 0;
    }
  }

  #tell(result: Answer, kept: number, promptTokens: number): void {
    const io = this.#io;
    if (this.#flags.json) {
      const { ids, text, finishReason, decodeTokensPerSecond } = result;
      printJson(io, {
        role: 'assistant',
        content: text,
        ids,
        finishReason,
        promptTokens,
        cachedTokens: kept,
        timings: { decodeTokensPerSecond },
      });
      return;
    }
    print(io);
    if (io.stderr.isTTY && !this.#flags.quiet) {
      remark(io, `(${exact(promptTokens - kept)} tokens read, ${describeAnswer(result)})`);
    }
  }
}
