/**
 * Keeps the page for when there is no connection; the networks are kept by the package itself. It
 * also isolates the page from others, whatever the server says, so that it may use all cores.
 */

/** Written here by build.mjs. */
declare const FILES: readonly string[];
declare const VERSION: string;

interface WorkerScope {
  addEventListener(type: string, listener: (event: never) => void): void;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
  readonly registration: { readonly scope: string };
}

interface Extended extends Event {
  waitUntil(work: Promise<unknown>): void;
}

interface Fetched extends Extended {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

const scope = self as unknown as WorkerScope;
const CACHE = `page-${VERSION}`;

scope.addEventListener("install", (event: Extended) => {
  const kept = caches.open(CACHE).then((cache) =>
    cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" }))),
  );
  event.waitUntil(kept.then(() => scope.skipWaiting()));
});

scope.addEventListener("activate", (event: Extended) => {
  const cleared = caches.keys().then((names) => {
    const old = names.filter((name) => name.startsWith("page-") && name !== CACHE);
    return Promise.all(old.map((name) => caches.delete(name)));
  });
  event.waitUntil(cleared.then(() => scope.clients.claim()));
});

scope.addEventListener("fetch", (event: Fetched) => {
  const url = new URL(event.request.url);
  const isOurs = url.href.startsWith(scope.registration.scope);
  if (event.request.method === "GET" && isOurs) event.respondWith(answer(event.request));
});

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: true });
  return isolated(kept ?? (await fetch(request)));
}

function isolated(response: Response): Response {
  if (response.status === 0 || response.redirected) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  const { status, statusText } = response;
  const isEmpty = [101, 204, 205, 304].includes(status);
  return new Response(isEmpty ? null : response.body, { status, statusText, headers });
}
