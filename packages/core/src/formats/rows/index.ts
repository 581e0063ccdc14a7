export { encodedRows, type RowFormat } from './encoded-rows.ts';
export {
  type FloatRows,
  pickRows,
  rowBytes,
  sliceRows,
  stackRows,
  storedRows,
  transposeGroups,
} from './float-rows.ts';
