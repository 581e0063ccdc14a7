/** The backend that computes in TensorFlow's C library, on a CUDA device or, where that was allowed, on its CPU kernels. */
import { type EngineTraits, TfjsBackend, type TfModule, type TfTensor } from '@mariana/backend-tfjs';

/** What `nodeGpu()` makes. */
export class NodeGpuBackend<T extends TfTensor = TfTensor> extends TfjsBackend<T> {
  /** `node-gpu` on a CUDA device, `node-cpu` on TensorFlow's CPU kernels. */
  override readonly name: 'node-gpu' | 'node-cpu';
  /** What TensorFlow computes on. */
  readonly device: 'gpu' | 'cpu';

  /**
   * @param tf - The namespace of tfjs-node, in which `tensorflow` must be active.
   * @param device - What TensorFlow was found to compute on.
   * @param traits - From `startEngine`.
   */
  constructor(tf: TfModule<T>, device: 'gpu' | 'cpu', traits?: EngineTraits) {
    super(tf, 'tensorflow', traits);
    this.device = device;
    this.name = device === 'gpu' ? 'node-gpu' : 'node-cpu';
  }
}
