/** Generate: a prompt, the text as it comes, and what each token could have been. */
import { computed } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { place } from '../../frame/address.ts';
import { askForBackends, loaded, openDefaultModel } from '../../state/engine.ts';
import {
  canGoOn,
  generate,
  goOn,
  isRunning,
  result,
  running,
  settings,
  stop,
  timings,
  tokens,
  usedSeed,
} from '../../state/text.ts';
import { TextProblem } from '../../text/text-problem.tsx';
import { TokenPanel } from '../../text/token-panel.tsx';
import { TokenText } from '../../text/token-text.tsx';
import { duration, number } from '../../ui/numbers.ts';
import './generate.css';
import { ModelPanel } from './model-panel.tsx';
import { Settings } from './settings.tsx';

const isActive = computed(() => place.value === 'generate');

export default function Generate() {
  useEffect(() => {
    openDefaultModel();
    void askForBackends();
  }, []);
  return (
    <div class="generate">
      <h1 class="visually-hidden">Generate</h1>
      <ModelPanel />
      <div class="generate-main">
        <div class="field">
          <label for="prompt">Prompt</label>
          <textarea
            id="prompt"
            rows={2}
            value={settings.value.prompt}
            onInput={({ currentTarget }) => {
              settings.value = { ...settings.value, prompt: currentTarget.value };
            }}
            onKeyDown={(event) => {
              if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
              event.preventDefault();
              generate();
            }}
          />
        </div>
        <div class="row">
          {isRunning.value ? (
            <button type="button" class="primary" onClick={stop}>
              Stop
            </button>
          ) : (
            <button type="button" class="primary" disabled={loaded.value === null} onClick={generate}>
              Generate
            </button>
          )}
          <button type="button" disabled={isRunning.value || !canGoOn()} onClick={goOn}>
            Go on
          </button>
          {/* Told when a text ends, not at every token of it. */}
          <p class="quiet figures" role="status" aria-live={isRunning.value ? 'off' : 'polite'}>
            {statusLine()}
          </p>
        </div>
        <TextProblem />
        <div class="generate-output">
          {tokens.value.length > 0 && <TokenText label="The text" isWatched={isActive} probabilities />}
        </div>
        {tokens.value.length > 0 && (
          <p class="quiet figures">
            Underlined by probability, from {'0 %'} <span class="scale" aria-hidden="true" /> to 100 %. Grey: the
            prompt.
          </p>
        )}
      </div>
      <div class="generate-side">
        <Settings />
        <TokenPanel />
      </div>
    </div>
  );
}

const ENDS = {
  stop: 'the model ended its text',
  eos: 'the model ended its text',
  length: 'as many tokens as were asked for',
  context: 'the context is full',
} as const;

/** What is going on, and how fast: changes in place, so nothing jumps. */
function statusLine(): string {
  const { firstToken, tokensPerSecond } = timings.value;
  const run = running.value;
  if (run?.reading && firstToken === null)
    return `Reading the prompt: ${run.reading.done} of ${run.reading.total} tokens`;
  const parts: string[] = [];
  const made = tokens.value.filter(({ logprob }) => logprob !== null).length;
  if (made > 0) parts.push(`${made} tokens`);
  if (firstToken !== null) parts.push(`first after ${duration(firstToken)}`);
  if (tokensPerSecond !== null) parts.push(`${number(tokensPerSecond)} tokens/s`);
  if (usedSeed.value !== null) parts.push(`seed ${usedSeed.value}`);
  if (run === null && result.value !== null) {
    const { finish } = result.value;
    parts.push(finish === null ? 'stopped; nothing is lost, go on if you like' : `ended: ${ENDS[finish]}`);
  }
  return parts.join(', ');
}
