/** The Train place: a model learns a text in this tab, while one watches. */
import './train.css';
import { useEffect } from 'preact/hooks';
import { Problem } from '../../ui/problem.tsx';
import { RunView } from './run-view.tsx';
import { Setup } from './setup.tsx';
import { findRun, runState, trouble, watchVisibility } from './state.ts';

export default function Train() {
  useEffect(() => {
    void findRun();
    return watchVisibility();
  }, []);
  if (runState.value === 'looking') return <p class="quiet">Looking for a run of an earlier visit …</p>;
  if (runState.value !== 'none') return <RunView />;
  return (
    <div class="stack train">
      <div>
        <h1>Train a model in this tab</h1>
        <p class="measure">
          A small model with DeepSeek-V3's parts (latent attention, routed experts) learns to continue a text, from
          nothing. Watch the loss fall, the router share out the work, and words appear.
        </p>
      </div>
      {trouble.value !== null && (
        <>
          <Problem error={trouble.value.error} what={trouble.value.what} />
          <p class="measure">{trouble.value.safe}</p>
        </>
      )}
      <Setup />
    </div>
  );
}
