/**
 * Inside: what the network does with each token. One text above, and under it pictures that all show the token that is
 * looked at. Nothing is watched until this place is first seen.
 */
import { computed } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { hrefOf, place } from '../../frame/address.ts';
import type { PlaceProps } from '../../frame/places.ts';
import { loaded, openDefaultModel } from '../../state/engine.ts';
import { allRouting, observedVersion, observeFailure, watch } from '../../state/observed.ts';
import { canGoOn, generate, isRunning, moment, settings, stop, tokens } from '../../state/text.ts';
import { likelihood } from '../../text/pieces.ts';
import { TextProblem } from '../../text/text-problem.tsx';
import { TokenText } from '../../text/token-text.tsx';
import { InView } from '../../ui/in-view.tsx';
import { usePaced } from '../../ui/paced.ts';
import { Problem } from '../../ui/problem.tsx';
import { AttentionFigure } from './attention-figure.tsx';
import { CacheFigure } from './cache-figure.tsx';
import { DoubtFigure } from './doubt-figure.tsx';
import { DraftsFigure } from './drafts-figure.tsx';
import { ExpertsFigure } from './experts-figure.tsx';
import './inside.css';
import { LoadFigure } from './load-figure.tsx';
import { shownLayers } from './shown.ts';
import { TokenFigure } from './token-figure.tsx';

const isActive = computed(() => place.value === 'inside');
const hasText = computed(() => tokens.value.length > 0);
const hasRouting = computed(() => observedVersion.value >= 0 && allRouting().some((one) => one !== undefined));

export default function Inside({ active }: PlaceProps) {
  const model = loaded.value;
  useEffect(() => openDefaultModel(), []);
  useEffect(() => {
    if (model === null || !active) return;
    watch(Math.min(shownLayers.value.attention, model.facts.config.numHiddenLayers - 1));
  }, [model, active]);
  const failure = observeFailure.value;
  if (model === null) {
    return (
      <>
        <h1 class="visually-hidden">Inside</h1>
        <p class="quiet">
          The model is being loaded; <a href={hrefOf('generate')}>Generate</a> shows how far it is.
        </p>
      </>
    );
  }
  const { facts } = model;
  const hasRoutes = hasRouting.value && facts.moeLayers.length > 0;
  return (
    <div class="inside">
      <h1 class="visually-hidden">Inside</h1>
      <div class="inside-text">
        <Actions />
        {hasText.value && <TokenText label="The text" isWatched={isActive} probabilities small />}
        <Likelihood />
        <TextProblem />
        {failure && <Problem error={failure.error} what={failure.what} retry={failure.retry} />}
      </div>
      {hasText.value && (
        <>
          {hasRoutes && (
            <InView isActive={isActive}>{(isWatched) => <ExpertsFigure model={facts} isWatched={isWatched} />}</InView>
          )}
          {hasRoutes && (
            <div class="inside-pair">
              <InView isActive={isActive}>{(isWatched) => <TokenFigure model={facts} isWatched={isWatched} />}</InView>
              <InView isActive={isActive}>{(isWatched) => <CacheFigure model={facts} isWatched={isWatched} />}</InView>
            </div>
          )}
          {!hasRoutes && facts.moeLayers.length > 0 && (
            <p class="quiet">
              {canGoOn()
                ? 'Looking at the text …'
                : 'This text is of another model. Generate anew to look inside this one.'}
            </p>
          )}
          {hasRoutes && (
            <div class="inside-pair">
              <InView isActive={isActive}>{(isWatched) => <LoadFigure model={facts} isWatched={isWatched} />}</InView>
              <InView isActive={isActive}>{(isWatched) => <DoubtFigure model={facts} isWatched={isWatched} />}</InView>
            </div>
          )}
          <InView isActive={isActive}>{(isWatched) => <AttentionFigure model={facts} isWatched={isWatched} />}</InView>
          <InView isActive={isActive}>{(isWatched) => <DraftsFigure model={facts} isWatched={isWatched} />}</InView>
        </>
      )}
    </div>
  );
}

function Actions() {
  return (
    <div class="row">
      {isRunning.value ? (
        <button type="button" class="primary" onClick={stop}>
          Stop
        </button>
      ) : (
        <button type="button" class="primary" onClick={generate}>
          {hasText.value ? 'Generate anew' : `Generate from “${settings.value.prompt}”`}
        </button>
      )}
      <p class="quiet figures">
        Point at a token, or use the arrow keys in the text: every picture shows that token. End follows the newest.
      </p>
    </div>
  );
}

function Likelihood() {
  const { shown } = usePaced(moment, isActive);
  return <p class="finding">{shown === null ? 'There is no text yet.' : likelihood(shown)}</p>;
}
