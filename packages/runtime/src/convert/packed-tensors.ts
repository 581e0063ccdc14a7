/**
 * A projection quantised for a checkpoint in safetensors: codes and scales, two tensors made in one pass over its rows.
 * The scales are asked for first and make both; the codes wait for their turn, and are then let go.
 */
import {
  type DType,
  type FloatRows,
  GROUP_SIZE,
  quantizeBlocks,
  quantizeGroups,
  type TensorToWrite,
} from '@mariana/core';

/** The formats that projections can be packed in. */
export type PackedWeights = 'fp8' | 'int8' | 'int4';

/** Rows and columns of an FP8 block, as in DeepSeek's checkpoints. */
const BLOCK = 128;

/** About how many values are quantised at once. */
const PIECE_VALUES = 2 ** 20;

interface Packed {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/** How a format is laid out. */
interface Layout {
  readonly dtype: DType;
  readonly scaleSuffix: string;
  /** Codes and scales, and of each the shape. */
  readonly codeBytes: (columns: number) => number;
  readonly scaleShape: (rows: number, columns: number) => [number, number];
  readonly quantize: (values: Float32Array, rows: number, columns: number) => Packed;
}

function groups(format: 'int8' | 'int4', dtype: DType): Layout {
  const size = GROUP_SIZE[format];
  return {
    dtype,
    scaleSuffix: '_scale',
    codeBytes: (columns) => (format === 'int8' ? columns : Math.ceil(columns / 2)),
    scaleShape: (rows, columns) => [rows, Math.ceil(columns / size)],
    quantize(values, rows, columns) {
      const { codes, scales } = quantizeGroups(format, values, rows, columns);
      return { codes: new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength), scales };
    },
  };
}

const LAYOUTS: Readonly<Record<PackedWeights, Layout>> = {
  fp8: {
    dtype: 'e4m3',
    scaleSuffix: '_scale_inv',
    codeBytes: (columns) => columns,
    scaleShape: (rows, columns) => [Math.ceil(rows / BLOCK), Math.ceil(columns / BLOCK)],
    quantize: (values, rows, columns) => quantizeBlocks(values, rows, columns),
  },
  int8: groups('int8', 'i8'),
  int4: groups('int4', 'u8'),
};

/** The suffix of the name of a weight's scales. */
export function scaleSuffix(format: PackedWeights): string {
  return LAYOUTS[format].scaleSuffix;
}

/**
 * Scales and codes of a weight, to be written one after the other in this order.
 *
 * @throws MarianaError, while they are written, `TENSOR_INVALID` for a value that is not finite; what `rows` throws.
 */
export function packedTensors(name: string, format: PackedWeights, rows: FloatRows): [TensorToWrite, TensorToWrite] {
  const layout = LAYOUTS[format];
  let packed: Promise<Packed> | undefined;
  const take = async (last: boolean): Promise<Packed> => {
    packed ??= pack(rows, layout);
    const made = await packed;
    if (last) packed = undefined;
    return made;
  };
  return [
    {
      name: name + layout.scaleSuffix,
      dtype: 'f32',
      shape: layout.scaleShape(rows.rows, rows.columns),
      data: async () => (await take(false)).scales,
    },
    {
      name,
      dtype: layout.dtype,
      shape: [rows.rows, layout.codeBytes(rows.columns)],
      data: async () => (await take(true)).codes,
    },
  ];
}

async function pack(matrix: FloatRows, layout: Layout): Promise<Packed> {
  const { rows, columns } = matrix;
  const [scaleRows, scaleColumns] = layout.scaleShape(rows, columns);
  const width = layout.codeBytes(columns);
  const codes = new Uint8Array(rows * width);
  const scales = new Float32Array(scaleRows * scaleColumns);
  const step = Math.max(1, Math.floor(PIECE_VALUES / (columns * BLOCK))) * BLOCK;
  let scaleAt = 0;
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const part = layout.quantize(await matrix.read(first, count), count, columns);
    codes.set(part.codes, first * width);
    scales.set(part.scales, scaleAt);
    scaleAt += part.scales.length;
  }
  return { codes, scales };
}
