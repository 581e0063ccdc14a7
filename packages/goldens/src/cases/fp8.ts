/** Block-scaled FP8 weights and online quantisation of activations. */
import { decodeWeight, MemorySource, weightSource } from '@mariana/core';
import type { GoldenCheck } from '../check.ts';
import { expectClose, expectEqual, expectFar } from '../compare.ts';

export const fp8Cases: GoldenCheck[] = [
  {
    name: 'dequantised weights, with partial blocks',
    folders: ['tiny-fp8'],
    async check({ golden, backend }) {
      const names = {
        'dequant.kv_b_proj.layer1': 'model.layers.1.self_attn.kv_b_proj.weight',
        'dequant.experts2_down.layer1': 'model.layers.1.mlp.experts.2.down_proj.weight',
      };
      for (const [expected, name] of Object.entries(names)) {
        const [rows, columns] = golden.shape(expected) as [number, number];
        const source = weightSource(golden.weights, name, [rows, columns]);
        expectEqual(`${name} on the host`, await decodeWeight(source), await golden.floats(expected));
        using weight = await backend.loadWeight(source);
        using values = backend.dequantize(weight);
        expectEqual(`${name} on the backend`, await values.floats(), await golden.floats(expected));
      }
    },
  },
  {
    name: 'weights are not rounded to BF16 on the way',
    folders: ['tiny-fp8'],
    async check({ golden, model }) {
      for (const prompt of golden.prompts) {
        using output = await model.forward(await golden.integers(`${prompt}.input_ids`));
        const rounded = await golden.floats(`${prompt}.logits_bf16_weights`);
        expectFar(`${prompt}.logits`, await output.logits!.floats(), rounded);
      }
    },
  },
  {
    name: 'activations in tiles: codes and scales',
    folders: ['tiny-fp8'],
    async check({ golden, backend }) {
      using x = backend.upload(await golden.floats('act_quant.x'), golden.shape('act_quant.x'));
      for (const [scaleFormat, suffix] of [
        ['f32', ''],
        ['ue8m0', '_ue8m0'],
      ] as const) {
        const quantized = backend.quantizeActivations(x, { scaleFormat });
        const codes = await backend.read(quantized.codes);
        expectEqual(`act_quant.codes${suffix}`, codes, await golden.integers(`act_quant.codes${suffix}`));
        const scales = await quantized.scales.floats();
        expectEqual(`act_quant.scales${suffix}`, scales, await golden.floats(`act_quant.scales${suffix}`));
        quantized.codes.dispose();
        quantized.scales.dispose();
      }
    },
  },
  {
    name: 'product of quantised activations and quantised weights',
    folders: ['tiny-fp8'],
    async check({ golden, backend }) {
      using x = backend.upload(await golden.floats('act_quant.x'), golden.shape('act_quant.x'));
      const bytes = Uint8Array.from(await golden.integers('fp8_gemm.w_codes'));
      const scales = await golden.floats('fp8_gemm.w_scales');
      using weight = await backend.loadWeight({
        name: 'fp8_gemm.w',
        format: 'fp8',
        shape: golden.shape('fp8_gemm.w_codes') as [number, number],
        values: new MemorySource(bytes, 'fp8_gemm.w_codes'),
        scales: new MemorySource(new Uint8Array(scales.buffer), 'fp8_gemm.w_scales'),
        blockSize: [128, 128],
      });
      using y = backend.scope(() => {
        const { codes, scales: tileScales } = backend.quantizeActivations(x);
        const [rows, tiles] = tileScales.shape as [number, number];
        const tiled = backend.reshape(backend.cast(codes, 'f32'), [rows, tiles, x.shape[1]! / tiles]);
        const values = backend.binary('mul', tiled, backend.reshape(tileScales, [rows, tiles, 1]));
        return backend.linear(backend.reshape(values, x.shape), weight);
      });
      expectClose('fp8_gemm.y', await y.floats(), await golden.floats('fp8_gemm.y'));
    },
  },
];
