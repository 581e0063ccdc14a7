/** The Model card place: what follows from a config.json alone, without a byte of its weights. */
import './model-card.css';
import { presetNames } from '@mariana/core';
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { PlaceProps } from '../../frame/places.ts';
import { Problem } from '../../ui/problem.tsx';
import { CacheFigure } from './cache-figure.tsx';
import { shapeFinding } from './findings.ts';
import { ParametersFigure } from './parameters-figure.tsx';
import { dropError, show, showFile, shown } from './state.ts';
import { TrainingFigure } from './training-figure.tsx';
import { FIRST_VIEW, viewOfPreset } from './view.ts';
import { WeightsFigure } from './weights-figure.tsx';
import { WhatIf } from './what-if.tsx';

export default function ModelCard({ active }: PlaceProps) {
  const { view, card, error } = shown.value;
  const over = useSignal(false);
  usePaste(active);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    over.value = false;
    const file = event.dataTransfer?.files[0];
    if (file) showFile(file, file.name);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is a shortcut; the button below does the same
    <div
      class="stack model-card"
      data-over={over.value}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) over.value = false;
      }}
      onDrop={drop}
    >
      <Chooser />
      {dropError.value !== null && (
        <Problem
          error={dropError.value}
          what="This config cannot be shown"
          dismiss={() => {
            dropError.value = null;
          }}
        />
      )}
      {error !== null && <Problem error={error} what="No model can be made of this" dismiss={() => show(FIRST_VIEW)} />}
      <div>
        <h1>{card.title}</h1>
        <p class="measure">{shapeFinding(card)}</p>
        {error !== null && <p class="quiet">The figures below are still of the last model that could be reckoned.</p>}
      </div>
      <WhatIf view={view} />
      {active && (
        <div class="model-card-figures">
          <div>
            <ParametersFigure card={card} />
            <CacheFigure card={card} view={view} />
          </div>
          <div>
            <WeightsFigure card={card} />
            <TrainingFigure card={card} view={view} />
          </div>
        </div>
      )}
    </div>
  );
}

function Chooser() {
  const { view } = shown.value;
  const input = useRef<HTMLInputElement>(null);
  const isPreset = view.name === null && Object.keys(view.changes).length === 0;
  return (
    <div class="row chooser">
      <label class="field">
        <span>Model</span>
        <select
          value={isPreset ? view.preset : ''}
          onChange={(event) => {
            const name = presetNames.find((known) => known === event.currentTarget.value);
            if (name) show(viewOfPreset(name, view));
          }}
        >
          {!isPreset && <option value="">{view.name ?? `${view.preset}, changed`}</option>}
          {presetNames.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <div class="field">
        <span>or your own</span>
        <button type="button" onClick={() => input.current?.click()}>
          Open a config.json
        </button>
        <input
          ref={input}
          type="file"
          accept=".json,application/json"
          hidden
          onChange={({ currentTarget }) => {
            const file = currentTarget.files?.[0];
            if (file) showFile(file, file.name);
            // The same file may be chosen again, after it was mended.
            currentTarget.value = '';
          }}
        />
      </div>
      <p class="quiet measure">
        It may also be dropped or pasted here; it stays on this machine. What you see is in the address: copy that to
        share it.
      </p>
    </div>
  );
}

/** A config.json that is pasted anywhere but into a field. */
function usePaste(active: boolean): void {
  useEffect(() => {
    if (!active) return;
    const paste = (event: ClipboardEvent) => {
      const target = event.target;
      if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement) return;
      const text = event.clipboardData?.getData('text') ?? '';
      if (text.trim() !== '') showFile(new Blob([text]), 'pasted config.json');
    };
    addEventListener('paste', paste);
    return () => removeEventListener('paste', paste);
  }, [active]);
}
