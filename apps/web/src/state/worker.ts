/** The page's connection to the worker that runs the model. */
import { type Connection, connect } from '../worker/connect.ts';
import type { ModelApi } from '../worker/model-api.ts';

let connection: Connection<ModelApi> | null = null;

/** Started when it is first needed. */
export function modelWorker(): Connection<ModelApi> {
  connection ??= connect<ModelApi>(
    new Worker(new URL('../worker/model-worker.ts', import.meta.url), { type: 'module', name: 'model' }),
  );
  return connection;
}
