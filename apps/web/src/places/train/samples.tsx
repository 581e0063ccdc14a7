/** What the model writes while it learns: the newest text first, and a way to ask for one. */
import { useSignal } from '@preact/signals';
import { number } from '../../ui/numbers.ts';
import type { RunFacts, Sample } from '../../worker/train-protocol.ts';
import { pending, runState, samples, writeSample, writing } from './state.ts';

export function Samples({ run }: { run: RunFacts }) {
  const prompt = useSignal(run.settings.prompt);
  const newestFirst = samples.value.toReversed();
  const [newest, ...older] = writing.value === null ? newestFirst : [writing.value, ...newestFirst];
  return (
    <section class="stack samples" aria-label="Samples">
      <h2>What it writes</h2>
      {newest === undefined ? (
        <p class="quiet">The first text is written before the first step.</p>
      ) : (
        <SampleText sample={newest} isLarge />
      )}
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          void writeSample(prompt.value);
        }}
      >
        <label class="field">
          <span>Begin with</span>
          <input
            type="text"
            maxLength={500}
            value={prompt.value}
            onInput={({ currentTarget }) => {
              prompt.value = currentTarget.value;
            }}
          />
        </label>
        <button type="submit" disabled={pending.value !== null || ['preparing', 'failed'].includes(runState.value)}>
          {pending.value === 'sample' ? 'Writing …' : 'Write now'}
        </button>
      </form>
      {older.length > 0 && (
        <details>
          <summary>
            {number(older.length)} earlier {older.length === 1 ? 'text' : 'texts'}
          </summary>
          <ol class="stack">
            {older.map((sample, i) => (
              <li key={older.length - i}>
                <SampleText sample={sample} />
              </li>
            ))}
          </ol>
        </details>
      )}
    </section>
  );
}

function SampleText({ sample, isLarge = false }: { sample: Sample; isLarge?: boolean }) {
  return (
    <div>
      <p class="quiet figures">
        {sample.step === 0 ? 'Before the first step' : `After step ${number(sample.step)}`}
        {!sample.done && ', being written'}
      </p>
      <p class={isLarge ? 'sample-text large' : 'sample-text'}>
        <span class="quiet">{sample.prompt}</span>
        {sample.text}
      </p>
    </div>
  );
}
