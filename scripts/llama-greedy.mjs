/**
 * llama.cpp's side of llama-cpp.ts: loads a GGUF file with node-llama-cpp and prints, as one line of JSON, the greedy
 * tokens after each prompt, or the ids of a text. A program of its own, since llama.cpp ends its process when it fails.
 *
 * Arguments: the folder of the peers, the file, and what is wanted: {"prompts": [[1, 2]], "count": 16} or {"text": "..."}.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, modelPath, wanted] = process.argv.slice(2);
const { prompts = [], count = 16, text } = JSON.parse(wanted);
const library = join(folder, 'node_modules', 'node-llama-cpp', 'dist', 'index.js');
const { getLlama } = await import(pathToFileURL(library).href);

const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: 'error' });
const model = await llama.loadModel({ modelPath });

async function greedy(prompt) {
  // A cache in F32, as here: in F16 the likeliest token can be another.
  const options = { experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32', flashAttention: false };
  const context = await model.createContext({ contextSize: 512, batchSize: 512, threads: 1, ...options });
  const tokens = [];
  for await (const token of context.getSequence().evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    tokens.push(token);
    if (tokens.length === count) break;
  }
  await context.dispose();
  return tokens;
}

const answer = text === undefined ? [] : [...model.tokenize(text, true)];
if (text === undefined) for (const prompt of prompts) answer.push(await greedy(prompt));
process.stdout.write(`${JSON.stringify(answer)}\n`);
process.exit(0);
