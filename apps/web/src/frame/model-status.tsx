/** Always in sight: the model, the backend and how fast it is. */
import { backendName, modelName, tokensPerSecond } from '../state/engine.ts';
import { number } from '../ui/numbers.ts';

export function ModelStatus() {
  const speed = tokensPerSecond.value;
  return (
    <p class="model-status figures">
      <span>{modelName.value ?? 'no model'}</span>
      <span>{backendName.value ?? 'no backend'}</span>
      <span>{speed === null ? '–' : number(speed)} tokens/s</span>
    </p>
  );
}
