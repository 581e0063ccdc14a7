/** How far something has come: what is being done, how much of it, how fast, and a way to stop it. */
import { useId } from 'preact/hooks';

export interface ProgressProps {
  /** What is being done: `Downloading model.safetensors`. */
  readonly what: string;
  /** 0 to 1, or null while that cannot be known. */
  readonly share: number | null;
  /** Numbers to it: `4.2 of 11.8 MB, 3.1 MB/s`. */
  readonly detail: string;
  readonly cancel?: (() => void) | undefined;
}

export function Progress({ what, share, detail, cancel }: ProgressProps) {
  const id = useId();
  return (
    <div class="progress">
      <label for={id}>{what}</label>
      <div class="row">
        <progress id={id} max={1} {...(share === null ? {} : { value: share })} />
        {cancel && (
          <button type="button" onClick={cancel}>
            Cancel
          </button>
        )}
      </div>
      <p class="quiet figures">{detail}</p>
    </div>
  );
}
