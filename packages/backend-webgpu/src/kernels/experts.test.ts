/** The experts' kernels, few tokens and many, in every format, against the formulas in float64. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expertsDownKernel, expertsGateUpKernel } from './experts-decode.ts';
import { groupedDownKernel, groupedGateUpKernel, groupedSumKernel } from './experts-grouped.ts';
import { expertsSortKernel, mostTiles, TILE_SLOTS } from './experts-sort.ts';
import { expectedOf, type Layer, layerOf, type PackedExperts, type Routed, routed } from './experts-test-kit.ts';
import { type ExpertFormat, readMatrix } from './experts-weights.ts';
import { floats, KernelBench, uniform, worst } from './kernel-test-kit.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

const FORMATS: readonly ExpertFormat[] = [
  { format: 'f32', scaleBlock: [1, 0] },
  { format: 'bf16', scaleBlock: [1, 0] },
  { format: 'fp8', scaleBlock: [16, 16] },
  { format: 'int8', scaleBlock: [1, 32] },
  { format: 'int4', scaleBlock: [1, 32] },
];

/** The buffers of some of a layer's experts, as a layer that is larger than a binding has them. */
function segment({ config, experts, gate, up, down }: Layer, first: number, count: number) {
  const cut = ({ codes, scales }: PackedExperts) => {
    const [of, ofScales] = [codes.length / experts, scales.length / experts];
    return {
      codes: bench.buffer(codes.slice(first * of, (first + count) * of)),
      scales: bench.buffer(scales.slice(first * ofScales, (first + count) * ofScales)),
    };
  };
  const [g, u, d] = [cut(gate), cut(up), cut(down)];
  const isDense = config.weights.scaleBlock[1] === 0;
  return {
    gateUp: { gate: g.codes, up: u.codes, ...(isDense ? {} : { gate_scales: g.scales, up_scales: u.scales }) },
    down: { down: d.codes, ...(isDense ? {} : { down_scales: d.scales }) },
    uniforms: { first_expert: first, experts: count },
  };
}

type Path = 'few' | 'many';

async function run(path: Path, layer: Layer, given: Routed, base: Float32Array | null, cuts: readonly number[]) {
  const { config, experts } = layer;
  const { perToken } = given;
  const slots = given.indices.length;
  const tokens = slots / perToken;
  const [x, indices, weights] = [bench.buffer(given.x), bench.buffer(given.indices), bench.buffer(given.weights)];
  const inner = bench.empty(slots * config.width * 4);
  const result = base === null ? bench.empty(tokens * config.hidden * 4) : bench.buffer(base);
  const segments = cuts.slice(1).map((end, i) => segment(layer, cuts[i]!, end - cuts[i]!));
  const add = base === null ? 0 : 1;
  if (path === 'few') {
    for (const { gateUp, uniforms } of segments) {
      await bench.run(expertsGateUpKernel(config), {
        shape: { tokens, perToken },
        buffers: { x, indices, inner, ...gateUp },
        uniforms: { per_token: perToken, inner_start: 0, ...uniforms },
      });
    }
    for (const [i, { down, uniforms }] of segments.entries()) {
      await bench.run(expertsDownKernel(config), {
        shape: { tokens, perToken },
        buffers: { inner, indices, weights, result, ...down },
        uniforms: { per_token: perToken, ...uniforms, add: i > 0 ? 1 : add },
      });
    }
    return bench.floats(result);
  }
  const tiles = mostTiles(slots, experts);
  const [list, table, shares] = [
    bench.empty(slots * 4),
    bench.empty(tiles * 12),
    bench.empty(slots * config.hidden * 4),
  ];
  await bench.run(expertsSortKernel(experts), {
    shape: { experts },
    buffers: { indices, list, tiles: table },
    uniforms: { slots, most_tiles: tiles },
  });
  for (const { gateUp, down, uniforms } of segments) {
    await bench.run(groupedGateUpKernel(config), {
      shape: { tiles },
      buffers: { x, list, tiles: table, inner, ...gateUp },
      uniforms: { per_token: perToken, ...uniforms },
    });
    await bench.run(groupedDownKernel(config), {
      shape: { tiles },
      buffers: { inner, list, tiles: table, weights, shares, ...down },
      uniforms,
    });
  }
  await bench.run(groupedSumKernel(config), {
    shape: { tokens },
    buffers: { shares, indices, result },
    uniforms: { per_token: perToken, experts, add },
  });
  return bench.floats(result);
}

async function expectExperts(
  path: Path,
  layer: Layer,
  given: Routed,
  base: Float32Array | null = null,
  cuts = [0, layer.experts],
) {
  const { values, bounds } = expectedOf(layer, given, base);
  expect(worst(await run(path, layer, given, base, cuts), values, (i) => bounds[i]!)).toBeLessThanOrEqual(1);
}

// Sizes that are neither whole vectors nor whole tiles or blocks, and sizes that are all of these.
const RAGGED = { hidden: 37, width: 21 };
const WHOLE = { hidden: 96, width: 64 };

describe('few tokens, and many', () => {
  test.each(FORMATS)('$format weights', async (weights) => {
    const layer = layerOf({ weights, ...RAGGED }, 5, 1);
    await expectExperts('few', layer, routed(3, 2, layer, 2));
    await expectExperts('many', layer, routed(70, 2, layer, 3));
  });

  test('whole vectors, tiles and blocks', async () => {
    const layer = layerOf({ weights: FORMATS[2]!, ...WHOLE }, 5, 1);
    await expectExperts('few', layer, routed(3, 2, layer, 2));
    await expectExperts('many', layer, routed(70, 2, layer, 3));
  });

  test('in two buffers, added to what is there', async () => {
    const layer = layerOf({ weights: FORMATS[3]!, ...RAGGED }, 6, 4);
    const base = (tokens: number) => floats(tokens * RAGGED.hidden, uniform(5));
    await expectExperts('few', layer, routed(2, 3, layer, 6), base(2), [0, 2, 6]);
    await expectExperts('many', layer, routed(40, 3, layer, 7), base(40), [0, 2, 6]);
  });
});

describe('routing', () => {
  const layer = layerOf({ weights: FORMATS[0]!, hidden: 8, width: 4 }, 4, 8);

  test('experts that do not exist give nothing, and nothing else goes wrong', async () => {
    const given = { ...routed(3, 2, layer, 9), indices: Int32Array.of(0, -1, 4, 3, 1000, -1000) };
    for (const path of ['few', 'many'] as const) await expectExperts(path, layer, given);
  });

  test('all tokens to one expert, and the same bits however tokens are put together', async () => {
    const given = { ...routed(65, 1, layer, 10), indices: new Int32Array(65).fill(2) };
    await expectExperts('many', layer, given);
    const all = await run('many', layer, given, null, [0, 4]);
    const last = {
      ...given,
      x: given.x.slice(8 * 64),
      indices: given.indices.slice(64),
      weights: given.weights.slice(64),
    };
    expect([...(await run('many', layer, last, null, [0, 4]))]).toEqual([...all.slice(8 * 64)]);
  });
});

describe('sorting', () => {
  async function sort(indices: Int32Array, experts: number) {
    const tiles = mostTiles(indices.length, experts);
    const [list, table] = [bench.empty(indices.byteLength), bench.empty(tiles * 12)];
    await bench.run(expertsSortKernel(experts), {
      shape: { experts },
      buffers: { indices: bench.buffer(indices), list, tiles: table },
      uniforms: { slots: indices.length, most_tiles: tiles },
    });
    return { list: [...(await bench.integers(list))], tiles: [...(await bench.integers(table))].slice(0, tiles * 3) };
  }

  function expectedSort(indices: Int32Array, experts: number) {
    const list: number[] = [];
    const tiles: number[] = [];
    for (let expert = 0; expert < experts; expert++) {
      const own = [...indices.keys()].filter((slot) => indices[slot] === expert);
      for (let i = 0; i < own.length; i += TILE_SLOTS)
        tiles.push(expert, list.length + i, Math.min(TILE_SLOTS, own.length - i));
      list.push(...own);
    }
    return {
      list,
      tiles: [...tiles, ...new Array<number>(mostTiles(indices.length, experts) * 3 - tiles.length).fill(0)],
    };
  }

  test('slots by expert in their order, and tiles of at most 32', async () => {
    const experts = fc.constantFrom(7, 300);
    const slots = fc.integer({ min: 1, max: 700 });
    await fc.assert(
      fc.asyncProperty(experts, slots, fc.integer(), async (experts, slots, seed) => {
        const next = uniform(seed, 0, experts);
        const indices = Int32Array.from({ length: slots }, () => Math.floor(next()));
        expect(await sort(indices, experts)).toEqual(expectedSort(indices, experts));
      }),
      { numRuns: 12 },
    );
  });

  test('the host’s number of tiles is never too small', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 600 }), (chosen) => {
        const counts = Array.from({ length: 9 }, (_, e) => chosen.filter((c) => c === e).length);
        const tiles = counts.reduce((sum, count) => sum + Math.ceil(count / TILE_SLOTS), 0);
        expect(tiles).toBeLessThanOrEqual(mostTiles(chosen.length, 9));
      }),
    );
  });

  test('what cannot be done is refused', () => {
    expect(() => expertsSortKernel(4000)).toThrow(/4000/);
    expect(() => readMatrix('gate', { weights: { format: 'int4', scaleBlock: [1, 16] }, out: 4, inputs: 32 })).toThrow(
      /cuts a vector/,
    );
  });
});
