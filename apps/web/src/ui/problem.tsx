/** What went wrong, where it went wrong: what happened, what is safe, what to do. */
import { type Explanation, explain } from './explain.ts';

export interface ProblemProps {
  /** What was thrown. */
  readonly error: unknown;
  /** What could not be done, as the beginning of a sentence: `The model could not be loaded`. */
  readonly what: string;
  /** Does it again. */
  readonly retry?: (() => void) | undefined;
  /** What doing it again is called. Default `Try again`. */
  readonly retryTitle?: string;
  readonly dismiss?: (() => void) | undefined;
}

export function Problem({ error, what, retry, retryTitle = 'Try again', dismiss }: ProblemProps) {
  const { happened, safe, todo, code }: Explanation = explain(error);
  return (
    <div class="problem" role="alert">
      <p>
        <strong>{what}.</strong> {happened}
      </p>
      <p>
        {safe} {todo}
      </p>
      {code !== null && <p class="quiet figures">Error code {code}</p>}
      <div class="row">
        {retry && (
          <button type="button" onClick={retry}>
            {retryTitle}
          </button>
        )}
        {dismiss && (
          <button type="button" onClick={dismiss}>
            Dismiss
          </button>
        )}
      </div>
    </div>
  );
}
