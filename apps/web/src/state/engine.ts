/** The model that the page runs, as all places see it. */
import { signal } from '@preact/signals';

/** Where a model comes from. */
export type ModelSource =
  | { readonly kind: 'default' }
  /** A folder in Hugging Face's layout, or a GGUF file. */
  | { readonly kind: 'url'; readonly url: string }
  /** Files by their names in such a folder: picked by the visitor, or made by training. */
  | { readonly kind: 'files'; readonly name: string; readonly files: Readonly<Record<string, Blob>> };

export type BackendChoice = 'auto' | 'cpu' | 'webgpu';

/** What is asked for; the Generate place loads it. */
export const wantedModel = signal<ModelSource>({ kind: 'default' });

/** Shown in the bar: name of the model in use, or null. */
export const modelName = signal<string | null>(null);
/** Name of the backend in use, or null. */
export const backendName = signal<string | null>(null);
/** Tokens a second of the generation under way or the last one, or null. */
export const tokensPerSecond = signal<number | null>(null);

/** Loads another model; whoever calls it shows the Generate place by `goTo('generate')`. */
export function openModel(source: ModelSource): void {
  wantedModel.value = source;
}
