/** A model from an address, from a folder or a file on disk; and the models that are kept on this device. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { loaded, openModel } from '../../state/engine.ts';
import { modelWorker } from '../../state/worker.ts';
import { bytes } from '../../ui/numbers.ts';
import { Problem } from '../../ui/problem.tsx';
import type { StoredModel } from '../../worker/model-api.ts';

const address = signal('');
const stored = signal<readonly StoredModel[]>([]);
const failure = signal<unknown>(null);

export function AnotherModel() {
  // Looked at again when another model is loaded: it may be one more.
  const current = loaded.value;
  useEffect(() => void refresh(), [current]);
  return (
    <section class="another" aria-label="Another model">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (address.value.trim() !== '') openModel({ kind: 'url', url: address.value });
        }}
      >
        <div class="field another-address">
          <label for="address">Address of a folder as Hugging Face lays it out, or of a GGUF file</label>
          <input
            id="address"
            type="text"
            inputMode="url"
            placeholder="https://huggingface.co/ORG/MODEL/resolve/main/"
            value={address.value}
            onInput={({ currentTarget }) => {
              address.value = currentTarget.value;
            }}
          />
        </div>
        <button type="submit">Load</button>
      </form>
      <div class="field">
        <label for="folder">Folder on this computer (nothing is uploaded)</label>
        <input
          id="folder"
          type="file"
          multiple
          ref={(input) => void input?.toggleAttribute('webkitdirectory', true)}
          onChange={({ currentTarget }) => pick(currentTarget)}
        />
      </div>
      <div class="row">
        <button type="button" onClick={() => openModel({ kind: 'default' })}>
          The default model
        </button>
      </div>
      {failure.value !== null && <Problem error={failure.value} what="The stored models could not be read" />}
      {stored.value.length > 0 && (
        <div class="field">
          <span>Kept on this device</span>
          <ul>
            {stored.value.map((model) => (
              <li key={model.url} class="row">
                <span>
                  {model.url}, {bytes(model.bytes)}
                  {model.complete ? '' : ', in part: loading it goes on where it ended'}
                </span>
                <button type="button" onClick={() => remove(model.url)} aria-label={`Remove ${model.url}`}>
                  Remove
                </button>
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}

function pick(input: HTMLInputElement): void {
  const picked = Array.from(input.files ?? []);
  if (picked.length === 0) return;
  // Paths begin with the name of the folder, which is no part of what a checkpoint calls its files.
  const inFolder = (file: File) => file.webkitRelativePath.split('/').slice(1).join('/') || file.name;
  const name = picked[0]!.webkitRelativePath.split('/')[0] || picked[0]!.name;
  const files = Object.fromEntries(picked.map((file) => [inFolder(file), file]));
  const ggufs = picked.filter((file) => /\.gguf$/i.test(file.name));
  if (files['config.json'] === undefined && ggufs.length === 1) files['model.gguf'] = ggufs[0]!;
  openModel({ kind: 'files', name, files });
}

async function refresh(): Promise<void> {
  try {
    stored.value = await modelWorker().call('stored', null);
    failure.value = null;
  } catch (error) {
    failure.value = error;
  }
}

async function remove(url: string): Promise<void> {
  try {
    await modelWorker().call('remove', url);
  } catch (error) {
    failure.value = error;
  }
  await refresh();
}
