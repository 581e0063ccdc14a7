/** Plugins of the bundler: the model that the page comes with, and the list of files that the page is made of. */
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';

/** Files of a checkpoint that the page reads; what else lies in the folder (a README) is left there. */
const MODEL_FILE =
  /^(?:config|generation_config|tokenizer|tokenizer_config|model\.safetensors\.index)\.json$|\.(?:safetensors|jinja)$/;

/**
 * Serves the files of a model's folder under `models/<hash of its contents>/`, and puts them beside the page when it is
 * built. The page knows the address as `__DEFAULT_MODEL__`.
 */
export function defaultModel(folder: string): Plugin {
  const files = readdirSync(folder).filter((file) => MODEL_FILE.test(file));
  if (!files.includes('config.json')) throw new Error(`${folder}: there is no config.json; it is no model`);
  const hash = createHash('sha256');
  for (const file of files.sort()) hash.update(file).update(readFileSync(join(folder, file)));
  const address = `models/${hash.digest('hex').slice(0, 12)}/`;
  return {
    name: 'mariana-default-model',
    config: () => ({ define: { __DEFAULT_MODEL__: JSON.stringify(address) } }),
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const path = new URL(request.url ?? '/', 'http://page').pathname.slice(1);
        const file = path.startsWith(address) ? path.slice(address.length) : null;
        if (file === null) return next();
        if (!files.includes(file)) return void response.writeHead(404).end();
        const { size } = statSync(join(folder, file));
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
        const start = Number(from ?? 0);
        const end = Math.min(Number(to ?? size - 1), size - 1);
        const { headers } = server.config.server;
        const range = from === undefined ? {} : { 'Content-Range': `bytes ${start}-${end}/${size}` };
        response.writeHead(from === undefined ? 200 : 206, { ...headers, ...range, 'Content-Length': end - start + 1 });
        createReadStream(join(folder, file), { start, end }).pipe(response);
      });
    },
    generateBundle() {
      if (this.environment.config.consumer !== 'client') return;
      for (const file of files) {
        this.emitFile({ type: 'asset', fileName: `${address}${file}`, source: readFileSync(join(folder, file)) });
      }
    },
  };
}

/** Writes `files.json`: what the service worker keeps, so that the page opens without a network. Models keep themselves. */
export function assetList(): Plugin {
  return {
    name: 'mariana-asset-list',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const files = Object.keys(bundle).filter((file) => !file.startsWith('models/') && file !== 'service-worker.js');
        this.emitFile({ type: 'asset', fileName: 'files.json', source: JSON.stringify(files.sort()) });
      },
    },
  };
}
