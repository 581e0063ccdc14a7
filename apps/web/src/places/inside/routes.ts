/** What a figure of this place is given, and the routing that it shows. */
import type { ReadonlySignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { allRouting } from '../../state/observed.ts';
import type { LoadedModel, TokenRouting } from '../../worker/model-api.ts';
import type { Routes } from './statistics.ts';

export interface InsideFigureProps {
  readonly model: LoadedModel;
  /** Whether the figure is to be kept up to date. */
  readonly isWatched: ReadonlySignal<boolean>;
}

/** Routing of the text as it was seen up to `version`. */
export function useRoutes({ config, moeLayers }: LoadedModel, version: number): Routes {
  return useMemo(
    () => ({
      layers: moeLayers,
      experts: config.nRoutedExperts,
      k: config.numExpertsPerTok,
      seen: allRouting().filter((one): one is TokenRouting => one !== undefined),
    }),
    [config, moeLayers, version],
  );
}
