/** Which model runs on what; how its loading goes; another model from an address or a folder; what is kept. */
import { signal } from '@preact/signals';
import {
  type BackendChoice,
  backendChoice,
  backendTitle,
  chooseBackend,
  dismissFailure,
  dismissNotice,
  loaded,
  loadFailure,
  loading,
  notice,
  offers,
  openDefaultModel,
  sourceName,
} from '../../state/engine.ts';
import { explain } from '../../ui/explain.ts';
import { bytes, memory, percent } from '../../ui/numbers.ts';
import { Problem } from '../../ui/problem.tsx';
import { Progress } from '../../ui/progress.tsx';
import type { LoadEvent } from '../../worker/model-api.ts';
import { AnotherModel } from './another-model.tsx';

const isOpen = signal(false);

export function ModelPanel() {
  const failure = loadFailure.value;
  return (
    <div class="model-panel">
      <div class="row">
        <p>{modelLine()}</p>
        {loaded.value === null && loading.value === null && (
          <button type="button" onClick={openDefaultModel}>
            Load the default model
          </button>
        )}
        <BackendField />
        <button type="button" aria-expanded={isOpen.value} onClick={() => (isOpen.value = !isOpen.value)}>
          Another model
        </button>
      </div>
      {loading.value && <LoadingProgress event={loading.value.event} cancel={loading.value.cancel} />}
      {failure && <Problem error={failure.error} what={failure.what} retry={failure.retry} dismiss={dismissFailure} />}
      <Notices />
      {isOpen.value && <AnotherModel />}
    </div>
  );
}

function modelLine() {
  const model = loaded.value;
  if (model === null) return 'No model is loaded yet.';
  const { from, weightBytes } = model.facts;
  return (
    <>
      <strong>{capital(sourceName(model.source))}</strong>, {memory(weightBytes)} in memory, from {from}.
    </>
  );
}

function BackendField() {
  const all = offers.value;
  const missing = all.filter(({ available }) => !available);
  return (
    <div class="field">
      <label for="backend">Computed by</label>
      <select
        id="backend"
        value={backendChoice.value}
        aria-describedby={missing.length > 0 ? 'backend-missing' : undefined}
        onChange={({ currentTarget }) => chooseBackend(currentTarget.value as BackendChoice)}
      >
        <option value="auto">Best of this browser</option>
        {all.map(({ name, available, note }) => (
          <option key={name} value={name} disabled={!available}>
            {backendTitle(name)}
            {available ? ` (${note})` : ' (not here)'}
          </option>
        ))}
      </select>
    </div>
  );
}

/** What this browser or this page lacks, and what that means. */
function Notices() {
  const missing = offers.value.filter(({ available }) => !available);
  const kept = notice.value;
  return (
    <>
      {missing.map(({ name, note }) => (
        <p key={name} id="backend-missing" class="quiet">
          {backendTitle(name)} cannot be used: {note}. The CPU computes the same, more slowly.
        </p>
      ))}
      {!globalThis.crossOriginIsolated && (
        <p class="quiet">
          This page is not isolated from others, so it has no shared memory and the CPU computes on one thread: texts
          come slower and are the same. Whoever hosts it can change that with two headers, Cross-Origin-Opener-Policy:
          same-origin and Cross-Origin-Embedder-Policy: require-corp.
        </p>
      )}
      {kept && (
        <div class="problem" role="status">
          <p>
            <strong>{kept.what}.</strong> {explain(kept.error).happened} {explain(kept.error).safe}{' '}
            {explain(kept.error).todo}
          </p>
          <div class="row">
            <button type="button" onClick={dismissNotice}>
              Dismiss
            </button>
          </div>
        </div>
      )}
    </>
  );
}

function LoadingProgress({ event, cancel }: { event: LoadEvent | null; cancel: () => void }) {
  if (event?.kind === 'download') {
    const { file, loaded: done, total, kept, bytesPerSecond } = event;
    const rate = bytesPerSecond === null ? '' : `, ${bytes(bytesPerSecond)}/s`;
    const before = kept > 0 ? `, of which ${bytes(kept)} were here already` : '';
    return (
      <Progress
        what={`Downloading ${file}`}
        share={total === 0 ? 1 : done / total}
        detail={`${bytes(done)} of ${bytes(total)}${rate}${before}.${notice.value === null ? ' Kept on this device for the next visit.' : ''}`}
        cancel={cancel}
      />
    );
  }
  if (event?.kind === 'weights') {
    const { loaded: done, total } = event;
    const share = total === 0 ? 1 : done / total;
    return (
      <Progress
        what="Loading weights"
        share={share}
        detail={`${bytes(done)} of ${bytes(total)}, ${percent(share)}`}
        cancel={cancel}
      />
    );
  }
  const what = event?.kind === 'step' ? event.what : 'Starting';
  return <Progress what={what} share={null} detail="The page stays usable meanwhile." cancel={cancel} />;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
