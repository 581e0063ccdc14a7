/** The model that comes along has a name, as presets have: a folder of that name wins over it. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { storiesModel } from '@mariana/model-stories';

/** What `--model` is where nothing is said. */
export const STORIES = 'stories';

/** Where the model of a name lies; other places are what they are. */
export function modelPlace(name: string): string {
  return name === STORIES && !existsSync(name) ? fileURLToPath(storiesModel) : name;
}
