/** Loads a model and streams text. The argument is a folder, a URL or a preset's name; without one, the model that comes along. */
import { cpu } from '@mariana/backend-cpu';
import { storiesModel } from '@mariana/model-stories';
import { Model } from '@mariana/runtime';

const model = await Model.load(process.argv[2] ?? storiesModel, { backend: await cpu() });
for await (const { text } of model.session().generate('Once upon a time', { maxTokens: 40, seed: 1 })) {
  process.stdout.write(text);
}
