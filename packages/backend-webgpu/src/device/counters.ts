/** What a backend asked of its device: the costs that a reader of a benchmark on software Vulkan can trust. */

/** Counts since the backend was made, or since `reset`. */
export interface DeviceCounts {
  /** Kernels dispatched. */
  readonly dispatches: number;
  /** Dispatches by the label of the kernel. */
  readonly byKernel: Readonly<Record<string, number>>;
  /** Submissions to the queue. */
  readonly submissions: number;
  /** Copies from the device to the host. */
  readonly reads: number;
  /** Bytes of these. */
  readonly bytesRead: number;
  /** Tensors and weights that came from the host. */
  readonly uploads: number;
  /** Bytes of these; the numbers that go with a dispatch are not counted. */
  readonly bytesUploaded: number;
}

export class Counters implements DeviceCounts {
  dispatches = 0;
  submissions = 0;
  reads = 0;
  bytesRead = 0;
  uploads = 0;
  bytesUploaded = 0;
  readonly #byKernel = new Map<string, number>();

  get byKernel(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#byKernel);
  }

  countDispatch(label: string): void {
    this.dispatches++;
    this.#byKernel.set(label, (this.#byKernel.get(label) ?? 0) + 1);
  }

  countRead(bytes: number): void {
    this.reads++;
    this.bytesRead += bytes;
  }

  countUpload(bytes: number): void {
    this.uploads++;
    this.bytesUploaded += bytes;
  }

  reset(): void {
    this.dispatches = this.submissions = this.reads = this.bytesRead = this.uploads = this.bytesUploaded = 0;
    this.#byKernel.clear();
  }

  /** The counts of this moment. */
  snapshot(): DeviceCounts {
    const { dispatches, byKernel, submissions, reads, bytesRead, uploads, bytesUploaded } = this;
    return { dispatches, byKernel, submissions, reads, bytesRead, uploads, bytesUploaded };
  }
}
