/**
 * Documents out of bytes: a text file is one document, a JSONL file has one on each line. Bytes come in pieces, and long
 * documents are handed on in pieces, so that a file larger than memory (or than the longest string) can be read.
 *
 * Pieces end after a line break that no white space follows. There every tokenizer of this family ends a word too, so
 * that tokens do not depend on where a file was cut.
 */
import { MarianaError } from '@mariana/core';

/** A part of a document, or a whole one. */
export interface DocumentPiece {
  readonly text: string;
  /** Whether a document begins with this piece. */
  readonly isFirst: boolean;
  /** Whether it ends with this piece. */
  readonly isLast: boolean;
}

/** Characters from which on a text is handed on in pieces. */
const PIECE = 2 ** 20;

/** Where a piece may end: behind a line break that no white space follows. */
const BORDER = /\n(?=\S)/g;

/**
 * A text as one document.
 *
 * @param bytes - Its UTF-8, cut anywhere.
 * @param name - What to call it in messages.
 * @throws MarianaError `DATA_INVALID` if it is not UTF-8.
 */
export async function* textDocument(
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  name: string,
): AsyncGenerator<DocumentPiece, void, undefined> {
  let waiting = '';
  let isFirst = true;
  for await (const part of decoded(bytes, name)) {
    waiting += part;
    if (waiting.length < PIECE) continue;
    const end = lastBorder(waiting);
    if (end === 0) continue;
    yield { text: waiting.slice(0, end), isFirst, isLast: false };
    waiting = waiting.slice(end);
    isFirst = false;
  }
  if (waiting !== '' || !isFirst) yield { text: waiting, isFirst, isLast: true };
}

/**
 * The documents of a JSONL file: on each line a JSON object with the text under `field`. Blank lines are passed over.
 *
 * @param bytes - Its UTF-8, cut anywhere.
 * @param name - What to call it in messages.
 * @param field - Key of the text. Default `text`.
 * @throws MarianaError `DATA_INVALID` for a line that is no such object, or is not UTF-8; message and details have its
 *   number, from 1.
 */
export async function* jsonlDocuments(
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  name: string,
  field = 'text',
): AsyncGenerator<DocumentPiece, void, undefined> {
  let line = 0;
  let waiting: string[] = [];
  const document = (content: string): DocumentPiece | undefined => {
    line++;
    if (content.trim() === '') return undefined;
    return { text: textOf(content, name, line, field), isFirst: true, isLast: true };
  };
  for await (const part of decoded(bytes, name, () => line + 1)) {
    let from = 0;
    for (let end = part.indexOf('\n'); end >= 0; end = part.indexOf('\n', from)) {
      const piece = document(waiting.join('') + part.slice(from, end));
      waiting = [];
      from = end + 1;
      if (piece) yield piece;
    }
    waiting.push(part.slice(from));
  }
  const piece = document(waiting.join(''));
  if (piece) yield piece;
}

/** Bytes as text; a character may be cut by the border of two pieces. */
async function* decoded(
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  name: string,
  line?: () => number,
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (part?: Uint8Array) => {
    try {
      return part ? decoder.decode(part, { stream: true }) : decoder.decode();
    } catch (cause) {
      const where = line ? `${name}, line ${line()} or a few below` : name;
      throw new MarianaError('DATA_INVALID', `${where}: this is not UTF-8 text; convert it, or leave the file out`, {
        cause,
        details: { source: name },
      });
    }
  };
  for await (const part of bytes) yield decode(part);
  yield decode();
}

/** Where the last whole line ends that a piece may end with; 0 if there is none. */
function lastBorder(text: string): number {
  // Searched from the end, in windows, because a border is near it in every text with lines.
  for (let window = 1024; ; window *= 2) {
    const from = Math.max(0, text.length - window);
    let end = 0;
    for (const { index } of text.slice(from).matchAll(BORDER)) end = from + index + 1;
    if (end > 0 || from === 0) return end;
  }
}

function textOf(content: string, name: string, line: number, field: string): string {
  const bad = (what: string, cause?: unknown) =>
    new MarianaError(
      'DATA_INVALID',
      `${name}, line ${line}: ${what}; each line must be a JSON object with a text under ${JSON.stringify(field)}`,
      { cause, details: { source: name, line, field } },
    );
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (cause) {
    throw bad('this is not JSON', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('this is not an object');
  const text = Object.hasOwn(value, field) ? (value as Record<string, unknown>)[field] : undefined;
  if (text === undefined) throw bad(`there is no ${JSON.stringify(field)}`);
  if (typeof text !== 'string') throw bad(`${JSON.stringify(field)} is not a text`);
  return text;
}
