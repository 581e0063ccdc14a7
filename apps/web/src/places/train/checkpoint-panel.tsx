/** A checkpoint that was made: into a folder of the visitor's choice, or file by file. */
import { useSignal, useSignalEffect } from '@preact/signals';
import { isCancelled } from '../../ui/explain.ts';
import { bytes } from '../../ui/numbers.ts';
import { Problem } from '../../ui/problem.tsx';
import { saveToFolder } from './save-to-folder.ts';
import { checkpoint } from './state.ts';

export function CheckpointPanel() {
  const links = useSignal<readonly { name: string; url: string; size: number }[]>([]);
  const done = useSignal<string | null>(null);
  const problem = useSignal<unknown>(null);
  useSignalEffect(() => {
    const files = Object.entries(checkpoint.value?.files ?? {});
    const made = files.map(([name, file]) => ({ name, url: URL.createObjectURL(file), size: file.size }));
    links.value = made;
    done.value = null;
    problem.value = null;
    return () => {
      for (const { url } of made) URL.revokeObjectURL(url);
    };
  });
  if (checkpoint.value === null) return null;
  const { step, files } = checkpoint.value;
  const save = async () => {
    problem.value = null;
    try {
      done.value = await saveToFolder(files);
    } catch (error) {
      if (!isCancelled(error)) problem.value = error;
    }
  };
  return (
    <section class="stack checkpoint" aria-label="Checkpoint">
      <h2>Checkpoint after step {step}</h2>
      <p class="measure">
        Config, weights (BF16) and tokenizer in Hugging Face's layout: the files of one folder, which Generate,{' '}
        <code>mariana generate --model</code> and other tools read.
      </p>
      {'showDirectoryPicker' in globalThis && (
        <div class="row">
          <button type="button" onClick={() => void save()}>
            Save into a folder
          </button>
          {done.value !== null && (
            <p role="status">
              {Object.keys(files).length} files were saved into {done.value}.
            </p>
          )}
        </div>
      )}
      {problem.value !== null && (
        <Problem error={problem.value} what="The checkpoint could not be saved" retry={save} />
      )}
      <ul class="row files">
        {links.value.map(({ name, url, size }) => (
          <li key={name}>
            <a href={url} download={name}>
              {name}
            </a>{' '}
            <span class="quiet figures">{bytes(size)}</span>
          </li>
        ))}
      </ul>
      <div>
        <button
          type="button"
          onClick={() => {
            checkpoint.value = null;
          }}
        >
          Close
        </button>
      </div>
    </section>
  );
}
