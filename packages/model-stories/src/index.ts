/** Where the model lies: its folder in this package, in Hugging Face's layout. See the README for what it can do. */

/** Address of the folder with config.json, model.safetensors and tokenizer.json; ends in a slash. */
export const storiesModel: URL = new URL('../model/', import.meta.url);

/** Files of the model, for those who copy or cache it. */
export const storiesFiles: readonly string[] = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
];
