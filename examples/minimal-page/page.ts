/** A page that loads a model and streams a text. `index.html`, this file and `worker.ts` are all there is. */
const text = document.getElementById('text')!;
const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
worker.addEventListener('message', ({ data }: MessageEvent<string>) => text.append(data));
