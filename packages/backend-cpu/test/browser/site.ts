/**
 * The web site that the browser tests run on, as a plugin of vite: the program bundled as for production, and the
 * headers that make a page cross-origin isolated, or not.
 */
import { isBuiltin } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build, defaultClientConditions, type Plugin } from 'vite';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** Tells the page around it what comes of two threads and of one. */
const FRAME = `<!doctype html>
<script type="module">
  import { program } from '/bundle/program.js';
  parent.postMessage([await program.start({ threads: 2 }), await program.start({ threads: 1 })]);
</script>`;

/**
 * Serves `/bundle/program.js` and `/bundle/worker.js`; `/frame.html?policy=...` under a Content-Security-Policy; and with
 * `isolated` everything with COOP and COEP headers.
 */
export function site({ isolated }: { isolated: boolean }): Plugin {
  return {
    name: 'mariana-site',
    config: () => ({ server: { headers: isolated ? ISOLATION : {} } }),
    async configureServer(server) {
      const files = await bundle();
      server.middlewares.use((request, response, next) => {
        const { pathname: path, searchParams } = new URL(request.url ?? '/', 'http://site');
        const code = files.get(path);
        const { headers } = server.config.server;
        if (code !== undefined) {
          response.writeHead(200, { ...headers, 'Content-Type': 'text/javascript' }).end(code);
        } else if (path === '/frame.html') {
          const policy = { 'Content-Security-Policy': searchParams.get('policy') ?? '', 'Content-Type': 'text/html' };
          response.writeHead(200, { ...headers, ...policy }).end(FRAME);
        } else {
          next();
        }
      });
    },
  };
}

let bundled: Promise<Map<string, string>> | undefined;

/** Once for both sites. */
function bundle(): Promise<Map<string, string>> {
  bundled ??= bundleNow();
  return bundled;
}

/** The files of the bundle by their address. Fails if any of the sources, or what they depend on, needs Node. */
async function bundleNow(): Promise<Map<string, string>> {
  const result = await build({
    configFile: false,
    root: FOLDER,
    publicDir: false,
    logLevel: 'warn',
    resolve: { conditions: ['@mariana/source', ...defaultClientConditions] },
    plugins: [withoutNode],
    build: {
      write: false,
      target: 'es2022',
      rolldownOptions: {
        input: { program: `${FOLDER}program.ts`, worker: `${FOLDER}worker.ts` },
        preserveEntrySignatures: 'strict',
        output: { entryFileNames: 'bundle/[name].js', chunkFileNames: 'bundle/[name].js' },
      },
    },
  });
  if (!('output' in result)) throw new Error('The bundler watches instead of building.');
  const chunks = result.output.filter((file) => file.type === 'chunk');
  return new Map(chunks.map(({ fileName, code }) => [`/${fileName}`, code]));
}

/** Vite puts an empty module in the place of one of Node's own, which fails only when it is used; here it fails at once. */
const withoutNode: Plugin = {
  name: 'mariana-without-node',
  enforce: 'pre',
  resolveId(id, importer) {
    if (isBuiltin(id)) this.error(`${importer} imports ${id}, which no page has`);
    return null;
  },
};
