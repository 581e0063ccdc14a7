export { ReferenceBackend, reference } from './reference-backend.ts';
