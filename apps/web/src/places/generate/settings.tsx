/** How tokens are chosen. */
import { loaded } from '../../state/engine.ts';
import { settings, type TextSettings } from '../../state/text.ts';

export function Settings() {
  const { temperature, topP, seed, maxTokens } = settings.value;
  const longest = loaded.value?.facts.config.maxPositionEmbeddings ?? 4096;
  return (
    <fieldset class="settings">
      <legend class="visually-hidden">How tokens are chosen</legend>
      <NumberField
        name="temperature"
        title="Temperature"
        value={temperature}
        min={0}
        max={5}
        step={0.1}
        set={(value) => change({ temperature: value ?? 0 })}
      />
      <NumberField
        name="top-p"
        title="Top-p"
        value={topP}
        min={0.01}
        max={1}
        step={0.01}
        set={(value) => change({ topP: value ?? 1 })}
      />
      <NumberField
        name="seed"
        title="Seed (or none)"
        value={seed}
        min={0}
        max={2 ** 32 - 1}
        step={1}
        set={(value) => change({ seed: value })}
      />
      <NumberField
        name="max-tokens"
        title="Tokens at most"
        value={maxTokens}
        min={1}
        max={longest}
        step={1}
        set={(value) => change({ maxTokens: value ?? 1 })}
      />
    </fieldset>
  );
}

interface NumberFieldProps {
  readonly name: string;
  readonly title: string;
  readonly value: number | null;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  /** Null when the field is empty. */
  readonly set: (value: number | null) => void;
}

function NumberField({ name, title, value, min, max, step, set }: NumberFieldProps) {
  return (
    <div class="field">
      <label for={name}>{title}</label>
      <input
        id={name}
        type="number"
        inputMode="decimal"
        {...{ min, max, step }}
        value={value ?? ''}
        onInput={({ currentTarget: input }) => {
          // A number that is still being typed is not one yet.
          if (input.value === '') set(null);
          else if (input.validity.valid) set(input.valueAsNumber);
        }}
      />
    </div>
  );
}

function change(values: Partial<TextSettings>): void {
  settings.value = { ...settings.value, ...values };
}
