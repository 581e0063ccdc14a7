/**
 * Random tests draw the same examples each time, so that a red run is red for whoever repeats it and a green one stays
 * green. `MARIANA_SEED=random` draws new ones, to look further.
 */
import fc from 'fast-check';

const seed = process.env.MARIANA_SEED ?? '20241227';
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) });
