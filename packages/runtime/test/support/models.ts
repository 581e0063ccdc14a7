/** Small models for the tests of this package, and what can be asked of their sessions. */
import { reference } from '@mariana/backend-reference';
import { fixturePath } from '@mariana/goldens/node';
import { expect } from 'vitest';
import { type GeneratedChunk, type GenerateOptions, Model, type Session } from '../../src/index.ts';

/** A golden model on the reference backend. It has no tokenizer. */
export function goldenModel(folder = 'tiny-dense-moe'): Promise<Model> {
  return Model.load(fixturePath(folder), { backend: reference() });
}

/** A model with random weights whose tokens are the 256 bytes, on the reference backend. */
export function byteModel(): Promise<Model> {
  return Model.load('tiny', { backend: reference() });
}

/** Everything that a generation yields. */
export async function chunksOf(
  session: Session,
  prompt: string | readonly number[],
  options: GenerateOptions,
): Promise<GeneratedChunk[]> {
  const chunks: GeneratedChunk[] = [];
  for await (const chunk of session.generate(prompt, options)) chunks.push(chunk);
  return chunks;
}

/** The logits after a list of tokens, read by a session of its own in one pass. */
export async function freshLogits(model: Model, tokens: readonly number[]): Promise<Float32Array> {
  using session = model.session({ prefillChunk: tokens.length });
  await session.append(tokens);
  return session.nextLogits();
}

/** As close as two forms of attention in float32 are, and no further apart. */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (!(Math.abs(a - e) <= 2e-4 + 2e-4 * Math.abs(e))) throw new Error(`element ${i} is ${a}, expected ${e}`);
  }
}
