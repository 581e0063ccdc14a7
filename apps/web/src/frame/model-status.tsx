/** Always in sight: the model, the backend and how fast it is. */
import { backendTitle, loaded, loading, sourceName, tokensPerSecond } from '../state/engine.ts';
import { number } from '../ui/numbers.ts';

export function ModelStatus() {
  const speed = tokensPerSecond.value;
  const model = loaded.value;
  const { name, note } = model?.facts.backend ?? {};
  return (
    <p class="model-status figures">
      <span class="model-status-name">{modelTitle()}</span>
      <span>{name === undefined ? 'no backend' : `${backendTitle(name)}, ${note}`}</span>
      <span>{speed === null ? '–' : number(speed)} tokens/s</span>
    </p>
  );
}

function modelTitle(): string {
  if (loading.value !== null) return `loading ${sourceName(loading.value.source)}`;
  const model = loaded.value;
  if (model === null) return 'no model';
  return model.source.kind === 'default' ? 'default model' : sourceName(model.source);
}
