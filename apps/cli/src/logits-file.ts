/** Writes the logits of a text to a safetensors file while it is scored, so that they are never all in memory. */
import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type ByteSource, MarianaError, type TensorToWrite, viewAsBytes } from '@mariana/core';
import { writeSafetensorsFile } from '@mariana/core/node';
import { type Model, type Score, type ScoreOptions, score } from '@mariana/runtime';

/**
 * Scores `ids` and writes `logits`, F32 [tokens, vocab_size], to `path`; with `options.mtp` also `mtp_logits` of the
 * same shape. The file appears whole or not at all.
 *
 * @throws MarianaError `FILE_WRITE_FAILED`; what `score` throws. What was at `path` is then unchanged.
 */
export async function scoreIntoFile(
  model: Model,
  ids: readonly number[],
  path: string,
  options: ScoreOptions,
): Promise<Score> {
  const shape = [ids.length, model.config.vocabSize] as const;
  const rows = new TransformStream<Uint8Array, Uint8Array>();
  const writer = rows.writable.getWriter();
  const reader = rows.readable.getReader();
  // The file holds one tensor after the other, so the second waits in memory until the first is written.
  const mtpRows: Float32Array[] = [];
  let scoring: Promise<Score> | undefined;
  const start = () => {
    scoring = score(model, ids, {
      ...options,
      async onLogits(logits) {
        await writer.write(viewAsBytes(logits));
        await options.onLogits?.(logits);
      },
      async onMtpLogits(logits) {
        mtpRows.push(logits);
        await options.onMtpLogits?.(logits);
      },
    });
    scoring.then(() => writer.close()).catch((error: unknown) => writer.abort(error).catch(() => {}));
    return streamSource('logits', 4 * shape[0] * shape[1], reader);
  };
  const tensors: TensorToWrite[] = [{ name: 'logits', dtype: 'f32', shape, data: start }];
  if (options.mtp) {
    tensors.push({ name: 'mtp_logits', dtype: 'f32', shape, data: () => scoring!.then(() => concatenate(mtpRows)) });
  }
  try {
    await writeSafetensorsFile(path, tensors);
  } catch (error) {
    await reader.cancel(error).catch(() => {}); // it may have failed already, by the same error
    await scoring?.catch(() => {});
    throw error;
  }
  return scoring!;
}

/** Says before the work, not after it, that its result cannot be written. @throws MarianaError `FILE_WRITE_FAILED` */
export async function checkFolderOf(path: string): Promise<void> {
  const folder = dirname(path);
  await access(folder, constants.W_OK).catch((cause: unknown) => {
    throw new MarianaError('FILE_WRITE_FAILED', `${path}: nothing can be written in ${folder}; choose another place`, {
      cause,
      details: { path },
    });
  });
}

/** A stream as a source that is read once, from front to back. */
function streamSource(name: string, byteLength: number, reader: ReadableStreamDefaultReader<Uint8Array>): ByteSource {
  let rest: Uint8Array = new Uint8Array();
  return {
    name,
    byteLength,
    async read(_offset, target) {
      for (let filled = 0; filled < target.byteLength; ) {
        if (rest.byteLength === 0) rest = (await reader.read()).value ?? endedEarly(name);
        const piece = rest.subarray(0, target.byteLength - filled);
        target.set(piece, filled);
        filled += piece.byteLength;
        rest = rest.subarray(piece.byteLength);
      }
    },
    async close() {},
  };
}

function endedEarly(name: string): never {
  throw new MarianaError('SOURCE_TRUNCATED', `${name}: the model gave fewer rows than there are tokens`);
}

function concatenate(chunks: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
