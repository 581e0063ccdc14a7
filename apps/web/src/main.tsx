/** Where the page begins. */
import { render } from 'preact';
import './styles/index.css';
import { Frame } from './frame/frame.tsx';

render(<Frame />, document.getElementById('page')!);

if (import.meta.env.PROD) {
  // Last, since it fetches all that the page may need. Without it the page needs a network to open, and is the same otherwise.
  addEventListener('load', () => {
    navigator.serviceWorker?.register('./service-worker.js').catch((error: unknown) => console.warn(error));
  });
}
