/** A run under way or at its end: how it stands, what can be done with it, its pictures and what it writes. */
import { computed, useSignal } from '@preact/signals';
import { place } from '../../frame/address.ts';
import { InView } from '../../ui/in-view.tsx';
import { duration, number } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import { Problem } from '../../ui/problem.tsx';
import { Progress } from '../../ui/progress.tsx';
import type { RunFacts, StepMetrics } from '../../worker/train-protocol.ts';
import { CheckpointPanel } from './checkpoint-panel.tsx';
import { outlookOf } from './outlook.ts';
import { LoadFigure, LossFigure } from './run-figures.tsx';
import { Samples } from './samples.tsx';
import {
  discard,
  exportCheckpoint,
  facts,
  keeps,
  metrics,
  openInGenerate,
  pause,
  pending,
  preparing,
  proceed,
  remark,
  runState,
  saved,
  takeUp,
  trouble,
} from './state.ts';

const isActive = computed(() => place.value === 'train');

export function RunView() {
  const run = facts.value;
  return (
    <div class="stack">
      {trouble.value !== null && (
        <Problem
          error={trouble.value.error}
          what={trouble.value.what}
          retry={runState.value === 'failed' ? takeUp : undefined}
          dismiss={() => {
            trouble.value = null;
          }}
        />
      )}
      {trouble.value !== null && <p class="measure">{trouble.value.safe}</p>}
      {remark.value !== null && (
        <p class="measure remark" role="status">
          {remark.value}
        </p>
      )}
      {preparing.value !== null && (
        <Progress what={preparing.value.what} share={preparing.value.share} detail={preparingDetail()} />
      )}
      {run !== null && (
        <>
          <Standing run={run} />
          <Actions />
          <CheckpointPanel />
          <div class="run-figures">
            <div>
              <InView isActive={isActive}>{(isWatched) => <LossFigure facts={run} isWatched={isWatched} />}</InView>
              <Samples run={run} />
            </div>
            <InView isActive={isActive}>{(isWatched) => <LoadFigure facts={run} isWatched={isWatched} />}</InView>
          </div>
        </>
      )}
      {run === null && runState.value === 'failed' && <Discard />}
    </div>
  );
}

function preparingDetail(): string {
  const share = preparing.value?.share ?? null;
  return share === null ? 'a moment' : `${Math.round(100 * share)} %`;
}

function Standing({ run }: { run: RunFacts }) {
  const lines = usePaced(metrics, isActive);
  const { steps, size } = run.settings;
  const last = lines.at(-1);
  const outlook = outlookOf(lines, steps);
  const epochs = (steps * run.tokensPerStep) / Math.max(1, run.tokens);
  return (
    <div class="stack standing">
      <div>
        <h1>{HEADS[runState.value]}</h1>
        <p class="quiet measure">
          A {size} model of {number(run.parameters)} parameters {runState.value === 'finished' ? 'learned' : 'learns'}{' '}
          {run.textName}: {number(run.tokens)} tokens of {number(run.vocabSize)} kinds, seen{' '}
          {epochs < 10 ? String(Number(epochs.toPrecision(2))) : number(Math.round(epochs))} times in {number(steps)}{' '}
          steps.
        </p>
      </div>
      <progress aria-label="Steps done" max={steps} value={last?.step ?? 0} />
      <dl class="standing-figures">
        <Item name="Step" value={`${number(last?.step ?? 0)} of ${number(steps)}`} />
        <Item name="Loss" value={last === undefined ? '–' : `${last.loss.toFixed(3)} nats a token`} />
        <Item name="Speed" value={outlook === null ? '–' : `${number(Math.round(outlook.tokensPerSecond))} tokens/s`} />
        <Item name="MaxViolation" value={last === undefined ? '–' : last.maxViolation.toFixed(2)} />
        <Item
          name={runState.value === 'finished' ? 'Took' : 'Expected end'}
          value={ending(last, outlook?.secondsLeft)}
        />
        <Item name="Kept in this browser" value={keeping()} />
      </dl>
    </div>
  );
}

const HEADS: Readonly<Record<typeof runState.value, string>> = {
  looking: 'Training',
  none: 'Training',
  preparing: 'Preparing',
  running: 'Training',
  pausing: 'Pausing after this step',
  paused: 'Paused',
  finished: 'Trained',
  failed: 'Stopped',
};

function Item({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt class="quiet">{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function ending(last: StepMetrics | undefined, left: number | undefined): string {
  if (last === undefined || left === undefined) return '–';
  if (runState.value === 'finished') return duration(Math.round(last.seconds));
  if (runState.value !== 'running') return `${duration(Math.ceil(left))} of training left`;
  const time = new Date(Date.now() + 1000 * left).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return `${time}, in ${duration(Math.ceil(left))}`;
}

function keeping(): string {
  if (!keeps.value) return 'nothing: save the checkpoint';
  return saved.value === null ? 'not yet' : `up to step ${number(saved.value.step)}`;
}

function Actions() {
  const state = runState.value;
  const busy = pending.value !== null;
  return (
    <div class="row">
      {(state === 'running' || state === 'pausing') && (
        <button type="button" class="primary" disabled={state === 'pausing'} onClick={pause}>
          {state === 'pausing' ? 'Pausing …' : 'Pause'}
        </button>
      )}
      {state === 'paused' && (
        <button type="button" class="primary" onClick={proceed}>
          Go on
        </button>
      )}
      {state !== 'preparing' && state !== 'failed' && (
        <>
          <button type="button" disabled={busy} onClick={() => void openInGenerate()}>
            Try it in Generate
          </button>
          <button type="button" disabled={busy} onClick={() => void exportCheckpoint()}>
            {pending.value === 'export' ? 'Making the checkpoint …' : 'Save the checkpoint'}
          </button>
        </>
      )}
      <Discard />
    </div>
  );
}

/** Throwing away takes two steps. */
function Discard() {
  const asked = useSignal(false);
  const isDone = runState.value === 'finished';
  if (!asked.value) {
    return (
      <button type="button" disabled={pending.value !== null} onClick={() => (asked.value = true)}>
        {isDone ? 'New run' : 'Discard the run'}
      </button>
    );
  }
  return (
    <span class="row">
      <span>What was learned is thrown away.</span>
      <button type="button" onClick={() => void discard()}>
        Discard it
      </button>
      <button type="button" onClick={() => (asked.value = false)}>
        Keep it
      </button>
    </span>
  );
}
