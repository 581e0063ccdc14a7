/** The model that the page comes with: `vite.config.ts` says which folder it is, and serves it under this address. */
declare const __DEFAULT_MODEL__: string;

/** Relative to the page; the name of its folder changes with its contents, so that a stored copy is never an old one. */
export const DEFAULT_MODEL_URL: string = __DEFAULT_MODEL__;
