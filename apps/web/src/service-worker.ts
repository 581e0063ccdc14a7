/**
 * Lets the page open without a network: keeps the files that it is made of. The network is asked first for what may
 * change (the page itself), and only when it is missing for the rest, whose names change with their contents. Models are
 * kept by the page.
 */
const CACHE = 'mariana-page';

interface ServiceWorkerScope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(
    type: 'install' | 'activate',
    listen: (event: { waitUntil(done: Promise<unknown>): void }) => void,
  ): void;
  addEventListener(
    type: 'fetch',
    listen: (event: { readonly request: Request; respondWith(response: Promise<Response>): void }) => void,
  ): void;
}

const scope = globalThis as unknown as ServiceWorkerScope;

scope.addEventListener('install', (event) => event.waitUntil(fill().then(() => scope.skipWaiting())));
scope.addEventListener('activate', (event) => event.waitUntil(scope.clients.claim()));

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const { href } = new URL(request.url);
  const isOurs = href.startsWith(scope.registration.scope);
  if (!isOurs || request.method !== 'GET' || href.includes('/models/') || request.headers.has('range')) return;
  event.respondWith(request.mode === 'navigate' ? fromNetwork(request) : fromCache(request));
});

/** Fetches all files of this version, and drops those of the one before. */
async function fill(): Promise<void> {
  const response = await fetch(new URL('files.json', scope.registration.scope), { cache: 'no-cache' });
  if (!response.ok) throw new Error(`files.json: the server answered ${response.status}`);
  const files = ['', ...((await response.json()) as string[])].map(
    (file) => new URL(file, scope.registration.scope).href,
  );
  const cache = await caches.open(CACHE);
  await cache.addAll(files);
  const wanted = new Set(files);
  for (const { url } of await cache.keys()) if (!wanted.has(url)) await cache.delete(url);
}

async function fromNetwork(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const cache = await caches.open(CACHE);
    const kept = await cache.match(scope.registration.scope);
    if (kept === undefined) throw error;
    return kept;
  }
}

async function fromCache(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}
