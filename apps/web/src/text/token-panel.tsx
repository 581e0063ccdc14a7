/** One token: how likely it was, and what could have come in its place. */
import { result, running, selected, shownToken } from '../state/text.ts';
import { amountStep } from '../ui/colors.ts';
import { percent } from '../ui/numbers.ts';
import { likelihood, visible } from './pieces.ts';

export function TokenPanel() {
  const token = shownToken();
  if (token === null) {
    return (
      <section class="token-panel" aria-label="The token that is shown">
        <p class="quiet">Generate a text, then point at a token or move to it with the arrow keys.</p>
      </section>
    );
  }
  // Read aloud only when somebody chose the token: not every token that comes.
  const live = selected.value === null ? 'off' : 'polite';
  const isLast = running.value === null && result.value !== null;
  return (
    <section class="token-panel" aria-label="The token that is shown">
      <p class="quiet figures">
        Token {token.position + 1}, id {token.id}
        {selected.value === null && (isLast ? ', the last one' : ', the newest')}
      </p>
      <p class="finding" aria-live={live}>
        {likelihood(token)}
      </p>
      {token.alternatives.length > 0 && (
        <table class="alternatives">
          <caption class="visually-hidden">The most likely tokens in this place, before temperature and top-p</caption>
          <thead>
            <tr>
              <th scope="col">Token</th>
              <th scope="col">Probability</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {token.alternatives.map((other) => (
              <tr key={other.id} class={other.id === token.id ? 'chosen' : ''}>
                <th scope="row">
                  {visible(other.text)}
                  {other.id === token.id && <span class="quiet figures"> chosen</span>}
                </th>
                <td>{percent(Math.exp(other.logprob))}</td>
                <td class="alternatives-bar" aria-hidden="true">
                  <span
                    style={{
                      width: `${100 * Math.exp(other.logprob)}%`,
                      background: amountStep(Math.exp(other.logprob)),
                    }}
                  />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
