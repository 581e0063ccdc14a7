/** The model's worker, so that the page stays free to draw. `/model/` is a folder as Hugging Face lays it out. */
import { cpu } from '@mariana/backend-cpu';
import { Model } from '@mariana/runtime';

try {
  const model = await Model.load('/model/', { backend: await cpu() });
  for await (const { text } of model.session().generate('Once upon a time', { maxTokens: 100, seed: 1 })) {
    postMessage(text);
  }
  postMessage('\n(end)');
} catch (error) {
  postMessage(`\n${error}`);
}
