/** What to learn from, how large a model, how long: the form before a run. */
import { countParameters } from '@mariana/core';
import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { parametersOf, setParameters } from '../../frame/address.ts';
import { bytes, number } from '../../ui/numbers.ts';
import { Problem } from '../../ui/problem.tsx';
import { BATCH, configOfSize, defaultSettings, LONGEST_TEXT, SEQUENCE } from '../../worker/train-plan.ts';
import { BALANCES, type Balance, SIZES, type Size, type TrainSettings } from '../../worker/train-protocol.ts';
import sampleUrl from './sample/english-fairy-tales.txt?url';
import { settingsFromParameters, settingsToParameters } from './settings-address.ts';
import { keeps, ownText, startRun } from './state.ts';

const SAMPLE_NAME = 'English fairy tales';

const BALANCE_NAMES: Readonly<Record<Balance, string>> = {
  bias: 'by bias, as DeepSeek-V3',
  loss: 'by an auxiliary loss, as before',
  none: 'not at all',
};

export function Setup() {
  const { settings, error } = current();
  const problem = useSignal<unknown>(null);
  const set = (change: Partial<TrainSettings>) => {
    problem.value = null;
    setParameters('train', settingsToParameters({ ...settings, ...change }));
  };
  const start = async (event: Event) => {
    event.preventDefault();
    try {
      const { name, text } = ownText.value ?? { name: SAMPLE_NAME, text: await loadSample() };
      startRun(settings, text, name);
    } catch (thrown) {
      problem.value = thrown;
    }
  };
  return (
    <form class="stack setup" onSubmit={start}>
      {error !== null && <Problem error={error} what="The address asks for a run that cannot be" />}
      <TextChoice onProblem={(thrown) => (problem.value = thrown)} />
      <SizeChoice settings={settings} set={set} />
      <details>
        <summary>More settings</summary>
        <More settings={settings} set={set} />
      </details>
      {problem.value !== null && <Problem error={problem.value} what="The run could not be started" />}
      <div class="row">
        <button type="submit" class="primary" disabled={ownText.value?.text.trim() === ''}>
          Start training
        </button>
        <p class="quiet">{keepingNote()}</p>
      </div>
    </form>
  );
}

/** Settings of the address; the usual ones where it makes no sense. */
function current(): { readonly settings: TrainSettings; readonly error: unknown } {
  try {
    return { settings: settingsFromParameters(parametersOf('train').value), error: null };
  } catch (error) {
    return { settings: defaultSettings('small'), error };
  }
}

function keepingNote(): string {
  return keeps.value
    ? 'It computes in this tab, on this machine. The run is kept in this browser: you can close the tab and come back.'
    : 'It computes in this tab, on this machine. This browser keeps nothing of this page, so leave the tab open.';
}

async function loadSample(): Promise<string> {
  const response = await fetch(sampleUrl);
  if (!response.ok)
    throw new Error(`the sample text could not be fetched (HTTP ${response.status}); use a text of your own`);
  return response.text();
}

interface TextChoiceProps {
  readonly onProblem: (error: unknown) => void;
}

function TextChoice({ onProblem }: TextChoiceProps) {
  const own = ownText;
  const input = useRef<HTMLInputElement>(null);
  const size = own.value === null ? 0 : new TextEncoder().encode(own.value.text).byteLength;
  const open = async (file: File | undefined) => {
    if (file === undefined) return;
    if (file.size > LONGEST_TEXT) {
      onProblem(
        new Error(
          `${file.name} has ${bytes(file.size)}; up to ${bytes(LONGEST_TEXT)} are taken here, so use a part of it`,
        ),
      );
      return;
    }
    own.value = { name: file.name, text: await file.text() };
  };
  return (
    <fieldset class="plain stack">
      <legend>Text to learn from</legend>
      <div class="row">
        <label>
          <input type="radio" name="text" checked={own.value === null} onChange={() => (own.value = null)} />{' '}
          {SAMPLE_NAME} <span class="quiet">(84 kB, Joseph Jacobs 1890, public domain)</span>
        </label>
        <label>
          <input
            type="radio"
            name="text"
            checked={own.value !== null}
            onChange={() => (own.value = { name: 'your text', text: '' })}
          />{' '}
          Your own
        </label>
      </div>
      {own.value !== null && (
        <div class="field">
          <label for="train-text">
            {own.value.name}{' '}
            <span class="figures">
              ({bytes(size)}; up to {bytes(LONGEST_TEXT)}, and 20 kB or more to learn something)
            </span>
          </label>
          <textarea
            id="train-text"
            rows={8}
            spellcheck={false}
            value={own.value.text}
            placeholder="Paste a text here"
            onInput={({ currentTarget }) => {
              own.value = { name: own.value?.name ?? 'your text', text: currentTarget.value };
            }}
          />
          <div>
            <button type="button" onClick={() => input.current?.click()}>
              Open a text file
            </button>
            <input
              ref={input}
              type="file"
              accept=".txt,.md,text/*"
              hidden
              onChange={({ currentTarget }) => {
                void open(currentTarget.files?.[0]);
                currentTarget.value = '';
              }}
            />
          </div>
        </div>
      )}
    </fieldset>
  );
}

interface SettingsProps {
  readonly settings: TrainSettings;
  readonly set: (change: Partial<TrainSettings>) => void;
}

function SizeChoice({ settings, set }: SettingsProps) {
  return (
    <fieldset class="plain">
      <legend>Size of the model</legend>
      <div class="sizes">
        {SIZES.map((size) => (
          <label key={size}>
            <input
              type="radio"
              name="size"
              checked={settings.size === size}
              onChange={() => set({ ...defaultSettings(size), balance: settings.balance, prompt: settings.prompt })}
            />{' '}
            {size} <span class="quiet figures">{sizeNote(size)}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function sizeNote(size: Size): string {
  const config = configOfSize(size);
  const { total, active } = countParameters(config);
  const millions = (value: number) => `${(value / 1e6).toPrecision(2)} M`;
  return (
    `${millions(total)} parameters, ${millions(active)} of them for a token; ${config.numHiddenLayers} layers, ` +
    `${config.numExpertsPerTok} of ${config.nRoutedExperts} experts`
  );
}

function More({ settings, set }: SettingsProps) {
  return (
    <div class="more">
      <NumberField
        label={`Steps of ${number(BATCH * SEQUENCE)} tokens`}
        value={settings.steps}
        min={1}
        max={20_000}
        step={1}
        set={(steps) => set({ steps })}
      />
      <NumberField
        label="Learning rate, at its peak"
        value={settings.learningRate}
        min={0}
        max={0.1}
        step="any"
        set={(learningRate) => set({ learningRate })}
      />
      <label class="field">
        <span>Balance experts</span>
        <select
          value={settings.balance}
          onChange={({ currentTarget }) => set({ balance: currentTarget.value as Balance })}
        >
          {BALANCES.map((balance) => (
            <option key={balance} value={balance}>
              {BALANCE_NAMES[balance]}
            </option>
          ))}
        </select>
      </label>
      <NumberField
        label="Seed"
        value={settings.seed}
        min={0}
        max={2 ** 32 - 1}
        step={1}
        set={(seed) => set({ seed })}
      />
      <label class="field">
        <span>Samples begin with</span>
        <input
          type="text"
          value={settings.prompt}
          maxLength={500}
          onChange={({ currentTarget }) => set({ prompt: currentTarget.value })}
        />
      </label>
    </div>
  );
}

interface NumberFieldProps {
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step: number | 'any';
  readonly set: (value: number) => void;
}

/** A number that is taken over once it makes sense; what does not is put back. */
function NumberField({ label, value, min, max, step, set }: NumberFieldProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="number"
        value={value}
        min={min}
        max={max}
        step={step}
        required
        onChange={({ currentTarget }) => {
          if (currentTarget.checkValidity() && (step !== 'any' || currentTarget.valueAsNumber > 0)) {
            set(currentTarget.valueAsNumber);
          } else {
            currentTarget.reportValidity();
            currentTarget.value = String(value);
          }
        }}
      />
    </label>
  );
}
