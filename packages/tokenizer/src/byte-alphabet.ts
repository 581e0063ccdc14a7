/**
 * Byte-level BPE writes every byte as one printable character, so that a vocabulary can be a JSON object of strings.
 * This is that alphabet, the one of GPT-2's `bytes_to_unicode`: bytes that print as themselves in Latin-1 keep their
 * character, the 68 others take U+0100, U+0101, ... in order (a space becomes "Ġ", a newline "Ċ").
 */

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

function buildAlphabet(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}

/** The character of every byte: `BYTE_CHARS[0x20]` is "Ġ". */
export const BYTE_CHARS: readonly string[] = buildAlphabet();

const BYTE_OF_CHAR: ReadonlyMap<string, number> = new Map(BYTE_CHARS.map((char, byte) => [char, byte]));

/** The bytes that `token` spells in the byte alphabet, or undefined where it has a character from outside of it. */
export function bytesOfChars(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_OF_CHAR.get(token.charAt(i));
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
