/**
 * Everything that can be wrong with what a user gives: each gives exit code 2, a stable code, and one line that names
 * the culprit; as JSON too if that was asked for; never a stack, a hang, or a part of a result.
 */
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import type { ErrorCode } from '@mariana/core';
import { fixturePath } from '@mariana/goldens/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { addTensor, editHeader, editJson, join, removeTensor, rewrite, split } from './damage.ts';
import { batch, type Outcome } from './program.ts';
import { copyModel, scratchFolder } from './scratch.ts';

const scratch = scratchFolder();
const GOOD = fixturePath('tiny-dense-moe');
const EMBED = 'model.embed_tokens.weight';
const EXPERT = 'model.layers.1.mlp.experts.3.up_proj.weight';

interface BadCase {
  readonly what: string;
  readonly args: readonly string[];
  readonly code: ErrorCode;
  readonly message: RegExp;
}

const cases: BadCase[] = [];
let copies = 0;

/** Every command that reads a checkpoint must refuse it: `inspect` what headers show, `generate` the rest too. */
function damaged(
  what: string,
  golden: string,
  damage: (model: string) => void,
  code: ErrorCode,
  message: RegExp,
  commands: readonly ('generate' | 'inspect' | 'score')[] = ['generate', 'inspect'],
): void {
  const model = copyModel(golden, `${scratch}/model-${copies++}`);
  damage(model);
  for (const command of commands) {
    const ids = ['--ids', '1,2', '--backend', 'reference'];
    const args = command === 'inspect' ? [model] : ['--model', model, ...ids];
    if (command === 'generate') args.push('--max-tokens', '2');
    cases.push({ what: `${command}: ${what}`, args: [command, ...args], code, message });
  }
}

function wrong(what: string, args: readonly string[], code: ErrorCode, message: RegExp): void {
  cases.push({ what, args, code, message });
}

const weights = (model: string) => `${model}/model.safetensors`;

function safetensorsFiles(): void {
  const dense = 'tiny-dense-moe';
  const file = /model\.safetensors/;
  damaged('a truncated file', dense, (m) => truncateSync(weights(m), 200_000), 'SOURCE_TRUNCATED', file);
  damaged('a file cut within its header', dense, (m) => truncateSync(weights(m), 500), 'SOURCE_TRUNCATED', file);
  damaged('an empty file', dense, (m) => truncateSync(weights(m), 0), 'SOURCE_TRUNCATED', file);
  const claim = (length: bigint) => (m: string) =>
    rewrite(weights(m), (bytes) => {
      bytes.writeBigUInt64LE(length);
      return bytes;
    });
  damaged('a header length beyond the file', dense, claim(10_000_000n), 'SOURCE_TRUNCATED', file);
  damaged('a header length beyond reason', dense, claim(2n ** 63n), 'CHECKPOINT_CORRUPT', file);
  damaged('bytes after the last tensor', dense, appendByte, 'CHECKPOINT_CORRUPT', file);
  damaged('a header that is no JSON', dense, headerText('{"a":'), 'CHECKPOINT_CORRUPT', file);
  damaged('a header that is no object', dense, headerText('[]'), 'CHECKPOINT_CORRUPT', file);

  const embed = new RegExp(EMBED.replaceAll('.', '\\.'));
  damaged('overlapping offsets', dense, moveTensor(EMBED, 64), 'CHECKPOINT_CORRUPT', /overlaps|leaves a hole/);
  damaged('offsets out of range', dense, moveTensor(EMBED, 1e12), 'CHECKPOINT_CORRUPT', /model\.safetensors.*tensor/);
  damaged('offsets that do not fit the shape', dense, growTensor(EMBED), 'CHECKPOINT_CORRUPT', embed);
  damaged('negative offsets', dense, moveTensor(EMBED, -8), 'CHECKPOINT_CORRUPT', embed);
  damaged('an unknown dtype', dense, setDtype(EMBED, 'Q4_K'), 'CHECKPOINT_CORRUPT', embed);
  damaged('a tensor twice in a header', dense, duplicateKey, 'CHECKPOINT_CORRUPT', /second time/);

  damaged('a wrong dtype', dense, setDtype(EMBED, 'I16'), 'TENSOR_MISMATCH', embed);
  damaged(
    'a wrong shape',
    dense,
    setShape(EMBED, [64, 256]),
    'TENSOR_MISMATCH',
    /embed_tokens.*\[64, 256\].*\[256, 64\]/,
  );
  damaged('a missing tensor', dense, (m) => removeTensor(weights(m), EXPERT), 'TENSOR_MISSING', /experts\.3\.up_proj/);
  const extra = (m: string) => addTensor(weights(m), 'model.layers.1.extra.weight', 'BF16', [2, 4], 16);
  damaged('an extra tensor', dense, extra, 'TENSOR_UNEXPECTED', /model\.layers\.1\.extra\.weight/);
  damaged('no weights', dense, (m) => rmSync(weights(m)), 'FILE_NOT_FOUND', /neither model\.safetensors/, ['generate']);

  damaged('FP8 NaN codes', 'tiny-fp8', nanCode, 'TENSOR_INVALID', /weight.*FP8 NaN/, ['generate', 'score']);
  const badScale = (value: number) => (m: string) => setFloat(m, '_scale_inv', value);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    damaged(`an FP8 scale of ${value}`, 'tiny-fp8', badScale(value), 'TENSOR_INVALID', /weight/, ['generate', 'score']);
  }
  damaged('weights that are not numbers', dense, nanWeight, 'BACKEND_FAILED', /weights damaged/, ['generate', 'score']);
  damaged('a missing FP8 scale', 'tiny-fp8', removeScale, 'TENSOR_MISSING', /weight_scale_inv/);
  const unquantised = (m: string) => editJson(`${m}/config.json`, { quantization_config: undefined });
  damaged(
    'FP8 weights without a quantization_config',
    'tiny-fp8',
    unquantised,
    'TENSOR_MISMATCH',
    /quantization_config/,
  );
}

function shards(): void {
  const index = (m: string) => `${m}/model.safetensors.index.json`;
  const second = 'model-00002-of-000002.safetensors';
  damaged('a missing shard', 'tiny-sharded', (m) => rmSync(`${m}/${second}`), 'FILE_NOT_FOUND', /model-00002/);
  const swap = (m: string) =>
    rewrite(index(m), (bytes) => Buffer.from(bytes.toString().replaceAll('model-00002-of', 'model-00001-of')));
  damaged('an index that names the wrong shard', 'tiny-sharded', swap, 'CHECKPOINT_CORRUPT', /index\.json/);
  damaged('a tensor in two shards', 'tiny-sharded', shardTwice, 'CHECKPOINT_CORRUPT', /in two files/);
  const outside = (m: string) => editJson(index(m), { weight_map: { [EMBED]: '../model.safetensors' } });
  damaged('an index that leads out of the folder', 'tiny-sharded', outside, 'CHECKPOINT_CORRUPT', /\.\.\/model/);
  damaged(
    'an index that is no JSON',
    'tiny-sharded',
    (m) => writeFileSync(index(m), '{'),
    'CHECKPOINT_CORRUPT',
    /index/,
  );
}

/** Keys that a DeepSeek-V3 config must have, and for each a value that no model has. */
const KEYS: Readonly<Record<string, unknown>> = {
  vocab_size: 0,
  hidden_size: -64,
  intermediate_size: 1.5,
  num_hidden_layers: 1e9,
  num_attention_heads: '4',
  kv_lora_rank: null,
  qk_nope_head_dim: 0,
  qk_rope_head_dim: 7,
  v_head_dim: [],
  max_position_embeddings: 1e300,
  n_routed_experts: -1,
  num_experts_per_tok: 99,
  moe_intermediate_size: 0,
  n_shared_experts: 'one',
};

function configs(): void {
  const dense = 'tiny-dense-moe';
  const set = (changes: Readonly<Record<string, unknown>>) => (m: string) => editJson(`${m}/config.json`, changes);
  for (const [key, absurd] of Object.entries(KEYS)) {
    const named = new RegExp(`config\\.json.*${key}`);
    damaged(`a config without ${key}`, dense, set({ [key]: undefined }), 'CONFIG_INVALID', named, ['inspect']);
    damaged(`a config with an absurd ${key}`, dense, set({ [key]: absurd }), 'CONFIG_INVALID', named, ['inspect']);
  }
  const of = (type: string, architecture: string) => set({ model_type: type, architectures: [architecture] });
  damaged('an unknown model type', dense, of('llama', 'LlamaForCausalLM'), 'CONFIG_UNSUPPORTED', /model_type.*llama/);
  damaged(
    'no model type',
    dense,
    set({ model_type: undefined, architectures: undefined }),
    'CONFIG_INVALID',
    /model_type/,
  );
  damaged('a config of another size', dense, set({ hidden_size: 128 }), 'TENSOR_MISMATCH', /\[256, 64\].*\[256, 128\]/);
  const write = (text: string) => (m: string) => writeFileSync(`${m}/config.json`, text);
  damaged(
    'a config that is no JSON',
    dense,
    write('{"vocab_size": 256,}'),
    'CHECKPOINT_CORRUPT',
    /config\.json.*line 1/,
  );
  damaged('a config that is a list', dense, write('[]'), 'CONFIG_INVALID', /config\.json/);
  damaged('an empty config', dense, write(''), 'CHECKPOINT_CORRUPT', /config\.json/);
  damaged('no config', dense, (m) => rmSync(`${m}/config.json`), 'FILE_NOT_FOUND', /config\.json/);
  damaged('a config that is a folder', dense, folderForConfig, 'FILE_UNREADABLE', /config\.json.*folder/);
  damaged('a damaged tokenizer', dense, brokenTokenizer, 'TOKENIZER_INVALID', /tokenizer\.json/, ['generate', 'score']);
}

function places(): void {
  const run = (model: string) => ['generate', '--model', model, '--ids', '1', '--max-tokens', '1'];
  wrong('a folder that is not there', run(`${scratch}/nowhere`), 'FILE_NOT_FOUND', /nowhere.*no such folder/);
  wrong('a file for a folder', run(`${GOOD}/config.json`), 'FILE_NOT_FOUND', /config\.json/);
  symlinkSync(`${scratch}/circle`, `${scratch}/circle`);
  wrong('a folder that cannot be read', run(`${scratch}/circle`), 'FILE_UNREADABLE', /circle.*round in a circle/);
  wrong('the same for inspect', ['inspect', `${scratch}/circle`], 'FILE_UNREADABLE', /circle.*round in a circle/);
  wrong('an address of another kind', run('ftp://example.test/model'), 'INVALID_ARGUMENT', /http/);
  wrong('a web server that is not there', run('http://127.0.0.1:9/model'), 'FETCH_FAILED', /127\.0\.0\.1:9/);
  wrong('a preset larger than memory', run('deepseek-v3'), 'OUT_OF_MEMORY', /deepseek-v3.*GiB/);
  wrong('an unknown backend', [...run(GOOD), '--backend', 'abacus'], 'USAGE', /abacus.*cpu.*reference/);
}

function tokens(): void {
  const generate = ['generate', '--model', GOOD, '--backend', 'reference', '--max-tokens', '4'];
  const score = ['score', '--model', GOOD, '--backend', 'reference'];
  const many = Array.from({ length: 5000 }, () => '1').join();
  wrong('a token id out of range', [...generate, '--ids', '1,256'], 'TOKEN_OUT_OF_RANGE', /256/);
  wrong('a negative token id', [...generate, '--ids', '-1,2'], 'TOKEN_OUT_OF_RANGE', /-1/);
  wrong('an id to score out of range', [...score, '--ids', '3,4,1000000'], 'TOKEN_OUT_OF_RANGE', /1000000/);
  wrong('a prompt beyond the context', [...generate, '--ids', many], 'CONTEXT_EXCEEDED', /5000.*4096/);
  wrong('a text to score beyond the context', [...score, '--ids', many], 'CONTEXT_EXCEEDED', /5000.*4096/);
  wrong('a context beyond the model', [...generate, '--ids', '1', '--context', '5000'], 'INVALID_ARGUMENT', /4096/);
  wrong(
    'a stop token out of range',
    [...generate, '--ids', '1', '--stop-token', '256'],
    'TOKEN_OUT_OF_RANGE',
    /stop token 256/,
  );
  wrong('text without a tokenizer', [...generate, '--prompt', 'hello'], 'TOKENIZER_MISSING', /tokenizer\.json/);
  wrong('a stop text without one', [...generate, '--ids', '1', '--stop', 'x'], 'TOKENIZER_MISSING', /tokenizer\.json/);
  wrong('text to score without one', [...score, '--text', 'hello'], 'TOKENIZER_MISSING', /tokenizer\.json/);
  wrong('chat without one', ['chat', '--model', GOOD], 'TOKENIZER_MISSING', /tokenizer\.json/);
  wrong('chat without a template', ['chat', '--model', 'tiny'], 'TOKENIZER_MISSING', /chat template/);
  wrong('--mtp without such weights', [...score, '--ids', '1,2', '--mtp'], 'TENSOR_MISSING', /multi-token-prediction/);
  wrong('a file that is not there', [...score, '--file', `${scratch}/no.txt`], 'FILE_NOT_FOUND', /no\.txt/);
  writeFileSync(`${scratch}/latin1.txt`, Buffer.from([0x47, 0x72, 0xfc, 0xdf, 0x65]));
  wrong('a file that is not UTF-8', [...score, '--file', `${scratch}/latin1.txt`], 'CHECKPOINT_CORRUPT', /UTF-8/);
  const nowhere = `${scratch}/nowhere/l.safetensors`;
  wrong('logits into no folder', [...score, '--ids', '1', '--logits', nowhere], 'FILE_WRITE_FAILED', /nowhere/);
}

function commandLines(): void {
  const model = ['--model', GOOD];
  const ids = ['--ids', '1'];
  wrong('an unknown command', ['genrate'], 'USAGE', /genrate.*generate/);
  wrong('an unknown option', ['generate', ...model, ...ids, '--max-token', '1'], 'USAGE', /--max-token.*--max-tokens/);
  wrong('no prompt', ['generate', ...model], 'USAGE', /--prompt.*--ids/);
  wrong('two prompts', ['generate', ...model, ...ids, '--prompt', 'x'], 'USAGE', /--prompt.*--ids/);
  wrong('nothing to score', ['score', ...model], 'USAGE', /--text.*--file.*--ids/);
  wrong('ids that are no numbers', ['score', ...model, '--ids', '1,x'], 'USAGE', /--ids.*1,2,3/);
  wrong('no ids', ['score', ...model, '--ids', ''], 'USAGE', /--ids/);
  for (const [option, value] of [
    ['--max-tokens', '-1'],
    ['--max-tokens', '2.5'],
    ['--temperature', 'hot'],
    ['--temperature', '-1'],
    ['--top-p', '0'],
    ['--top-k', '1.5'],
    ['--min-p', '2'],
    ['--repetition-penalty', '0'],
    ['--seed', 'x'],
    ['--stop', ''],
    ['--context', '0'],
    ['--logprobs', '-1'],
  ] as const) {
    wrong(`${option} ${value}`, ['generate', ...model, ...ids, option, value], 'USAGE', new RegExp(`${option}.*must`));
  }
  const init = ['init', '--out', `${scratch}/never`, '--preset', 'tiny'];
  wrong(
    'init of an unknown preset',
    ['init', '--out', `${scratch}/never`, '--preset', 'huge'],
    'INVALID_ARGUMENT',
    /huge.*tiny/,
  );
  wrong('init in an unknown dtype', [...init, '--dtype', 'fp4'], 'USAGE', /fp4.*bf16, fp8/);
  wrong('init with no shard size', [...init, '--max-shard-size', 'small'], 'USAGE', /--max-shard-size.*5GB/);
  wrong('init in a full folder', ['init', '--preset', 'tiny', '--out', GOOD], 'USAGE', /--force/);
  wrong(
    'init below a file',
    ['init', '--preset', 'tiny', '--out', `${GOOD}/config.json/x`],
    'FILE_WRITE_FAILED',
    /config\.json/,
  );
  wrong('init in a file', ['init', '--preset', 'tiny', '--out', `${GOOD}/config.json`], 'FILE_WRITE_FAILED', /file/);
  wrong(
    'init without space',
    ['init', '--preset', 'kimi-k2', '--out', `${scratch}/never`],
    'FILE_WRITE_FAILED',
    /free/,
  );
  wrong('init from no text', [...init, '--tokenizer', `${scratch}/no.txt`], 'FILE_NOT_FOUND', /no\.txt/);
  wrong('inspect of nothing', ['inspect', `${scratch}/nowhere`], 'FILE_NOT_FOUND', /nowhere/);
  wrong('inspect at no context', ['inspect', 'tiny', '--context', '0'], 'USAGE', /--context/);
}

function appendByte(model: string): void {
  rewrite(weights(model), (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]));
}

function headerText(text: string): (model: string) => void {
  return (model) => rewrite(weights(model), (bytes) => join(text, split(bytes).values));
}

function moveTensor(name: string, by: number): (model: string) => void {
  return (model) =>
    editHeader(weights(model), (header) => {
      const [begin, end] = header[name]!.data_offsets;
      header[name]!.data_offsets = [begin + by, end + by];
      return undefined;
    });
}

function growTensor(name: string): (model: string) => void {
  return (model) =>
    editHeader(weights(model), (header) => {
      header[name]!.data_offsets[1] += 64;
      return undefined;
    });
}

function setDtype(name: string, dtype: string): (model: string) => void {
  return (model) =>
    editHeader(weights(model), (header) => {
      header[name]!.dtype = dtype;
      return undefined;
    });
}

function setShape(name: string, shape: number[]): (model: string) => void {
  return (model) =>
    editHeader(weights(model), (header) => {
      header[name]!.shape = shape;
      return undefined;
    });
}

function duplicateKey(model: string): void {
  rewrite(weights(model), (bytes) => {
    const { header, values } = split(bytes);
    const entry = JSON.stringify(header[EMBED]);
    return join(`${JSON.stringify(header).slice(0, -1)},"${EMBED}":${entry}}`, values);
  });
}

function nanCode(model: string): void {
  editHeader(weights(model), (header, values) => {
    const [begin] = Object.values(header).find(({ dtype }) => dtype === 'F8_E4M3')!.data_offsets;
    values[begin + 5] = 0x7f;
    return values;
  });
}

/** Sets the first number of the first F32 tensor whose name has this ending. */
function setFloat(model: string, ending: string, value: number): void {
  editHeader(weights(model), (header, values) => {
    const name = Object.keys(header).find((name) => name.endsWith(ending))!;
    values.writeFloatLE(value, header[name]!.data_offsets[0]);
    return values;
  });
}

/** A whole norm of BF16 NaN, so that nothing comes out but that. */
function nanWeight(model: string): void {
  editHeader(weights(model), (header, values) => {
    values.fill(0xff, ...header['model.norm.weight']!.data_offsets);
    return values;
  });
}

function removeScale(model: string): void {
  const { header } = split(readWeights(model));
  removeTensor(weights(model), Object.keys(header).find((name) => name.endsWith('_scale_inv'))!);
}

function readWeights(model: string): Buffer {
  let found = Buffer.alloc(0);
  rewrite(weights(model), (bytes) => {
    found = Buffer.from(bytes);
    return bytes;
  });
  return found;
}

/** The second shard gets a tensor that the first has. */
function shardTwice(model: string): void {
  addTensor(`${model}/model-00002-of-000002.safetensors`, EMBED, 'BF16', [256, 64], 2 * 256 * 64);
}

function folderForConfig(model: string): void {
  rmSync(`${model}/config.json`);
  mkdirSync(`${model}/config.json`);
}

function brokenTokenizer(model: string): void {
  writeFileSync(`${model}/tokenizer.json`, '{"version":"1.0","model":{"type":"BPE","vocab":[],"merges":[]}}');
}

safetensorsFiles();
shards();
configs();
places();
tokens();
commandLines();

describe('bad input', () => {
  let outcomes: (Outcome & { ms?: number })[] = [];

  beforeAll(async () => {
    outcomes = await batch(cases.map(({ args }) => [...args, '--json']));
  }, 120_000);

  test.each(cases.map((one, i) => ({ ...one, i })))('$what', ({ i, code, message }) => {
    const { code: exitCode, stdout, ms } = outcomes[i]!;
    const stderr = outcomes[i]!.stderr.replace(/^\w+ .*: \d+% of .*\n/gm, ''); // progress, on a slow machine
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(message) });
    expect(stderr).toMatch(new RegExp(`^error \\[${code}\\]: [^\n]+\n$`));
    const printed = JSON.parse(stdout);
    expect(Object.keys(printed)).toEqual(['error']);
    expect(printed.error).toMatchObject({ code, details: expect.any(Object) });
    expect(stderr).toContain(printed.error.message);
    expect(ms).toBeLessThan(20_000); // a guard against hanging, no measure of speed
  });
});
