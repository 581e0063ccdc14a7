/** The worker that runs the model. */
import { offeredBackends } from './backends.ts';
import type { ModelApi } from './model-api.ts';
import { ModelEngine } from './model-engine.ts';
import { removeStored, storedModels } from './model-store.ts';
import { serve } from './serve.ts';

const engine = new ModelEngine();

serve<ModelApi>({
  backends: () => offeredBackends(),
  load: (request, emit, signal) => engine.load(request, emit, signal),
  generate: (request, emit, signal) => engine.generate(request, emit, signal),
  observe: ({ layer }) => engine.observe(layer),
  stored: () => storedModels(),
  remove: (url) => removeStored(url),
});
