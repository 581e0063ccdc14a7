/**
 * How the page is bundled and served. Both servers, of `vite` and of `vite preview`, send the two headers that give a page
 * shared memory, and so the threads of the CPU backend; whoever hosts the page must send them too (README.md).
 */
import { fileURLToPath } from 'node:url';
import { defaultClientConditions, defineConfig } from 'vite';
import { assetList, defaultModel } from './build/plugins.ts';

/** The folder of the model that the page comes with: config.json, model.safetensors, tokenizer.json and its like. */
const DEFAULT_MODEL = fileURLToPath(new URL('../../packages/model-stories/model', import.meta.url));

const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // The page may lie in any folder of a host.
  base: './',
  // Workspace packages by the same entry points that users import, from source: no build comes before.
  resolve: { conditions: ['@mariana/source', ...defaultClientConditions] },
  plugins: [defaultModel(process.env.MARIANA_WEB_MODEL ?? DEFAULT_MODEL), assetList()],
  server: { headers },
  preview: { headers },
  worker: { format: 'es' },
  build: {
    target: 'es2024',
    reportCompressedSize: false,
    rolldownOptions: {
      input: {
        index: fileURLToPath(new URL('./index.html', import.meta.url)),
        'service-worker': fileURLToPath(new URL('./src/service-worker.ts', import.meta.url)),
      },
      // A service worker is found by its name, which must stay.
      output: { entryFileNames: ({ name }) => (name === 'service-worker' ? '[name].js' : 'assets/[name]-[hash].js') },
    },
  },
});
