/** `rmsNorm`, `rotary` and `swiglu`. Operands are checked and not empty. */
import type { Tensor } from '@mariana/core';
import { rmsNormKernel, rotaryKernel, swigluKernel } from '../kernels/norm.ts';
import type { KernelDevice } from './device.ts';

export function rmsNorm(device: KernelDevice, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const length = x.shape.at(-1)!;
  const rows = x.size / length;
  const { tensor, buffer } = device.output(x.shape, 'f32');
  device.run(rmsNormKernel(), {
    shape: { rows },
    buffers: { x: device.buffer(x), weight: device.buffer(weight), y: buffer },
    uniforms: { rows, length, epsilon },
  });
  return tensor;
}

export function rotary(device: KernelDevice, x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const [, heads, width] = x.shape as [number, number, number];
  const size = x.size / 2;
  const { tensor, buffer } = device.output(x.shape, 'f32');
  device.run(rotaryKernel(), {
    shape: { size },
    buffers: { x: device.buffer(x), cosines: device.buffer(cos), sines: device.buffer(sin), y: buffer },
    uniforms: { size, heads, half: width / 2 },
  });
  return tensor;
}

export function swiglu(device: KernelDevice, gate: Tensor, up: Tensor): Tensor {
  const { tensor, buffer } = device.output(gate.shape, 'f32');
  device.run(swigluKernel(), {
    shape: { size: gate.size },
    buffers: { x0: device.buffer(gate), x1: device.buffer(up), y: buffer },
    uniforms: { size: gate.size, s0_0: 1, s1_0: 1 },
  });
  return tensor;
}
