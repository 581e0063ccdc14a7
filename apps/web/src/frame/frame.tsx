/** The frame around the four places: the bar with the way to each, the state of the model, and the place itself. */
import { signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { Problem } from '../ui/problem.tsx';
import { followAddress, hrefOf, PLACES, type Place, place } from './address.ts';
import { ModelStatus } from './model-status.tsx';
import { type PlaceProps, placeEntries } from './places.ts';

type Loaded = ComponentType<PlaceProps> | { readonly error: unknown } | 'loading';

/** Places that were visited. They are never taken away again: each keeps its state. */
const visited = signal<Readonly<Partial<Record<Place, Loaded>>>>({});

followAddress();
place.subscribe((to) => visit(to));

async function visit(to: Place): Promise<void> {
  document.title = `${placeEntries[to].title} · Mariana`;
  const before = visited.peek()[to];
  if (before === 'loading' || typeof before === 'function') return;
  const set = (loaded: Loaded) => {
    visited.value = { ...visited.peek(), [to]: loaded };
  };
  set('loading');
  try {
    set((await placeEntries[to].load()).default);
  } catch (error) {
    set({ error });
  }
}

export function Frame() {
  return (
    <>
      <button type="button" class="skip" onClick={skip}>
        Skip to the content
      </button>
      <header class="bar">
        <span class="bar-name">Mariana</span>
        <nav aria-label="Places">
          {PLACES.map((to) => (
            <a key={to} href={hrefOf(to)} aria-current={place.value === to ? 'page' : undefined}>
              {placeEntries[to].title}
            </a>
          ))}
        </nav>
        <ModelStatus />
      </header>
      <main id="content" tabIndex={-1}>
        {PLACES.map((to) => (
          <section key={to} class="place" hidden={place.value !== to} aria-label={placeEntries[to].title}>
            <PlaceContent of={to} />
          </section>
        ))}
      </main>
    </>
  );
}

function PlaceContent({ of }: { of: Place }) {
  const loaded = visited.value[of];
  if (loaded === undefined) return null;
  if (loaded === 'loading') return <p class="quiet">Loading this place …</p>;
  if ('error' in loaded) {
    return <Problem error={loaded.error} what="This part of the page could not be loaded" retry={() => visit(of)} />;
  }
  const Content = loaded;
  return <Content active={place.value === of} />;
}

/** Not a link to the content: the hash says the place. */
function skip(): void {
  document.getElementById('content')?.focus();
}
