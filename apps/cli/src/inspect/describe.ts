/** What `mariana inspect` prints for people. */
import { bytes, exact, percent, short, table } from '../format.ts';
import type { Account } from './account.ts';
import type { FoundCheckpoint, Inspected } from './look.ts';

const FORMATS = {
  f32: 'F32',
  bf16: 'BF16',
  fp8: 'FP8, scales for blocks',
  int8: 'INT8, groups of 128',
  int4: 'INT4, groups of 32',
} as const;

/** The lines of the report. */
export function describe({ source, kind, checkpoint }: Inspected, figures: Account): string[] {
  const { kvBytesPerToken: kv, flopsPerToken: flops } = figures;
  const { contextLength, prefill, decode } = flops;
  return [
    `${source} (${kind})`,
    ...shape(figures.model),
    '',
    'Parameters',
    ...table(parameterRows(figures)),
    '',
    'Cache, bytes a token (BF16)',
    ...table([
      ['latent, as this model keeps it', exact(kv.latent), ''],
      ['keys and values of every head', exact(kv.multiHead), `${(kv.multiHead / kv.latent).toFixed(1)} times as much`],
    ]),
    '',
    'Weights, by the format of the projections',
    ...table(Object.entries(FORMATS).map(([format, name]) => [name, bytes(weight(figures, format))])),
    '',
    `Operations for a token, at a context of ${exact(contextLength)}`,
    ...table([
      ['', 'reading a prompt', 'generating'],
      ['attention with heads expanded', short(prefill.naive.total), short(decode.naive.total)],
      ['attention in the latent', short(prefill.absorbed.total), short(decode.absorbed.total)],
    ]),
    ...(checkpoint === null ? [] : found(checkpoint)),
  ];
}

function weight(figures: Account, format: string): number {
  return figures.weightBytes[format as keyof typeof FORMATS].total;
}

function shape(model: Account['model']): string[] {
  const get = (key: string) => exact(Number(model[key]));
  const experts =
    model.n_routed_experts === 0
      ? 'no experts'
      : `${get('moe_layers')} of them with ${get('n_routed_experts')} experts, of which a token takes ` +
        `${get('num_experts_per_tok')} and ${get('n_shared_experts')} shared`;
  return [
    `${model.model_type}: ${get('num_hidden_layers')} layers, ${experts}`,
    `hidden size ${get('hidden_size')}, ${get('num_attention_heads')} heads, ` +
      `vocabulary ${get('vocab_size')}, context ${get('max_position_embeddings')}`,
  ];
}

function parameterRows({ parameters, activeShare }: Account): string[][] {
  const { mtp } = parameters;
  const row = (name: string, value: number) => [name, short(value), percent(value / parameters.total)];
  const rows = [
    row('embedding', parameters.embedding),
    row('attention', parameters.attention.total),
    row('dense feed-forward', parameters.denseMlp),
    row('routed experts', parameters.routedExperts),
    row('shared experts', parameters.sharedExperts),
    row('router', parameters.router),
    row('norms', parameters.norms),
    row('output head', parameters.head),
    ['total', short(parameters.total), ''],
    ['active for one token', short(parameters.active), percent(activeShare)],
  ];
  if (mtp !== null) rows.push(['besides: multi-token prediction', short(mtp.own), '']);
  return rows;
}

function found(checkpoint: FoundCheckpoint): string[] {
  const dtypes = Object.entries(checkpoint.dtypes).map(([dtype, count]) => `${exact(count)} ${dtype}`);
  return [
    '',
    'Files: complete, and they fit the config',
    ...table([
      ['tensors', `${exact(checkpoint.tensors)} (${dtypes.join(', ')})`],
      ['bytes', bytes(checkpoint.bytes)],
      ['multi-token prediction', checkpoint.mtp ? 'yes' : 'no'],
      ['tokenizer', checkpoint.tokenizer ? 'yes' : 'no'],
    ]),
  ];
}
