/**
 * Inside: what the network does with each token. One text above, and under it pictures that all show the token that is
 * looked at. Nothing is watched until this place is first seen.
 */
import { useEffect } from 'preact/hooks';
import { hrefOf } from '../../frame/address.ts';
import type { PlaceProps } from '../../frame/places.ts';
import { loaded, openDefaultModel } from '../../state/engine.ts';
import { allRouting, observedVersion, observeFailure, watch } from '../../state/observed.ts';
import { canGoOn, generate, running, settings, shownToken, stop, tokens } from '../../state/text.ts';
import { likelihood } from '../../text/pieces.ts';
import { TokenText } from '../../text/token-text.tsx';
import { Problem } from '../../ui/problem.tsx';
import { useThrottled } from '../../ui/throttled.ts';
import type { TokenRouting } from '../../worker/model-api.ts';
import { AttentionFigure } from './attention-figure.tsx';
import { CacheFigure } from './cache-figure.tsx';
import { DraftsFigure } from './drafts-figure.tsx';
import { ExpertsFigure } from './experts-figure.tsx';
import './inside.css';
import { LoadFigures } from './load-figures.tsx';
import { shownLayers } from './shown.ts';
import type { Routes } from './statistics.ts';
import { TokenFigure } from './token-figure.tsx';

/** Milliseconds between two drawings of what is dear to draw. */
const SLOW = 500;
/** And of what is drawn for every token. */
const QUICK = 100;

export default function Inside({ active }: PlaceProps) {
  const model = loaded.value;
  useEffect(() => openDefaultModel(), []);
  useEffect(() => {
    if (model === null || !active) return;
    watch(Math.min(shownLayers.value.attention, model.facts.config.numHiddenLayers - 1));
  }, [model, active]);
  const version = useThrottled(observedVersion.value, SLOW, active);
  const quick = useThrottled(observedVersion.value, QUICK, active);
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
  const { config, moeLayers } = model.facts;
  const seen = allRouting().filter((one): one is TokenRouting => one !== undefined);
  const routes: Routes = { layers: moeLayers, experts: config.nRoutedExperts, k: config.numExpertsPerTok, seen };
  const hasRoutes = seen.length > 0 && moeLayers.length > 0;
  return (
    <div class="inside">
      <h1 class="visually-hidden">Inside</h1>
      <div class="inside-text">
        <Actions />
        {tokens.value.length > 0 && <TokenText label="The text" probabilities small />}
        <p class="finding">{likelihoodOfShown()}</p>
        {failure && <Problem error={failure.error} what={failure.what} retry={failure.retry} />}
      </div>
      {tokens.value.length > 0 && (
        <>
          {hasRoutes && <ExpertsFigure routes={routes} version={quick} />}
          {hasRoutes && (
            <div class="inside-pair">
              <TokenFigure routes={routes} />
              <CacheFigure config={config} drafts={model.facts.drafts} active={active} />
            </div>
          )}
          {!hasRoutes && moeLayers.length > 0 && (
            <p class="quiet">
              {canGoOn()
                ? 'Looking at the text …'
                : 'This text is of another model. Generate anew to look inside this one.'}
            </p>
          )}
          {hasRoutes && <LoadFigures routes={routes} version={version} />}
          <AttentionFigure config={config} active={active} />
          <DraftsFigure drafts={model.facts.drafts} />
        </>
      )}
    </div>
  );
}

function Actions() {
  const run = running.value;
  return (
    <div class="row">
      {run === null ? (
        <button type="button" class="primary" onClick={generate}>
          {tokens.value.length === 0 ? `Generate from “${settings.value.prompt}”` : 'Generate anew'}
        </button>
      ) : (
        <button type="button" class="primary" onClick={stop}>
          Stop
        </button>
      )}
      <p class="quiet figures">
        Point at a token, or use the arrow keys in the text: every picture shows that token. End follows the newest.
      </p>
    </div>
  );
}

function likelihoodOfShown(): string {
  const token = shownToken();
  return token === null ? 'There is no text yet.' : likelihood(token);
}
