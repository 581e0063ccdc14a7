/** Why a text could not be gone on with, wherever it is shown. */
import { dismissTextFailure, textFailure } from '../state/text.ts';
import { Problem } from '../ui/problem.tsx';

export function TextProblem() {
  const failure = textFailure.value;
  if (failure === null) return null;
  const { error, what, retry } = failure;
  return (
    <Problem
      error={error}
      what={what}
      retry={retry}
      retryTitle="Load the model again and go on"
      dismiss={dismissTextFailure}
    />
  );
}
