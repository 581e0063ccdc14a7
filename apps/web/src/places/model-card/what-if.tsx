/** The config's own keys as fields: change one, and every figure follows. */
import { type JsonValue, preset } from '@mariana/core';
import { show } from './state.ts';
import { type CardView, type ConfigKey, withChange } from './view.ts';

/** Keys with a whole number for a value, in the order of a config's sense. */
const KEYS = [
  'num_hidden_layers',
  'hidden_size',
  'num_attention_heads',
  'q_lora_rank',
  'kv_lora_rank',
  'qk_nope_head_dim',
  'qk_rope_head_dim',
  'v_head_dim',
  'first_k_dense_replace',
  'intermediate_size',
  'n_routed_experts',
  'num_experts_per_tok',
  'n_shared_experts',
  'moe_intermediate_size',
  'vocab_size',
  'num_nextn_predict_layers',
] as const satisfies readonly ConfigKey[];

export function WhatIf({ view }: { view: CardView }) {
  const base = preset(view.preset).raw;
  const set = (key: ConfigKey, value: JsonValue | undefined) => {
    const changed = withChange(view, key, value);
    // A key and a value for each head, always: the two numbers are one.
    show(key === 'num_attention_heads' ? withChange(changed, 'num_key_value_heads', value) : changed);
  };
  const isChanged = Object.keys(view.changes).length > 0;
  return (
    <details class="what-if" open={isChanged && view.name === null}>
      <summary>Change the model</summary>
      <div class="what-if-fields">
        {KEYS.map((key) => {
          const value = Object.hasOwn(view.changes, key) ? view.changes[key] : base[key];
          return (
            <label key={key} class="field">
              <span>
                {key}
                {Object.hasOwn(view.changes, key) && <span> (was {String(base[key] ?? 'absent')})</span>}
              </span>
              <input
                type="number"
                min={0}
                step={1}
                placeholder="none"
                value={typeof value === 'number' ? value : ''}
                onChange={({ currentTarget }) =>
                  set(key, currentTarget.value === '' ? null : Number(currentTarget.value))
                }
              />
            </label>
          );
        })}
      </div>
      <button type="button" disabled={!isChanged} onClick={() => show({ ...view, changes: {}, name: null })}>
        Back to {view.preset}
      </button>
    </details>
  );
}
