/** Backends that free too little, too much, or count wrongly. */
import { ReferenceBackend } from '@mariana/backend-reference';
import { type MemoryUse, type Shape, Storage, type Tensor, type TensorData } from '@mariana/core';
import type { Mutant } from './mutant.ts';

class ScopeFreesNothing extends ReferenceBackend {
  override scope<Result>(body: () => Result): Result {
    return body();
  }
}

class ScopeFreesItsResult extends ReferenceBackend {
  override scope<Result>(body: () => Result): Result {
    let result: Result | undefined;
    super.scope(() => {
      result = body();
    });
    return result!;
  }
}

class ScopeLeaksWhenItFails extends ReferenceBackend {
  override scope<Result>(body: () => Result): Result {
    const outcome = super.scope((): { made?: Result; error?: unknown; kept: Tensor[] } => {
      const kept = [this.upload(Float32Array.of(0), [])];
      try {
        return { made: body(), kept };
      } catch (error) {
        return { error, kept };
      }
    });
    if (!('error' in outcome)) outcome.kept[0]!.dispose();
    if ('error' in outcome) throw outcome.error;
    return outcome.made!;
  }
}

class ScopeTakesPromises extends ReferenceBackend {
  override scope<Result>(body: () => Result): Result {
    let promised: Result | undefined;
    const result = super.scope(() => {
      const made = body();
      if (!(made instanceof Promise)) return made;
      promised = made;
      return undefined;
    });
    return promised ?? (result as Result);
  }
}

class KeepForgetsOuterScopes extends ReferenceBackend {
  override keep<T extends Tensor>(tensor: T): T {
    return tensor;
  }
}

class ReshapeCopies extends ReferenceBackend {
  override reshape(x: Tensor, shape: Shape): Tensor {
    super.reshape(x, shape).dispose();
    return this.upload(this.data(x), shape, x.dtype);
  }
}

class FreesSharedStorage extends ReferenceBackend {
  override reshape(x: Tensor, shape: Shape): Tensor {
    super.reshape(x, shape).dispose();
    return this.make(shape, x.dtype, new Storage(x.storage.payload, 0));
  }
  protected override release(storage: Storage): void {
    if (storage.byteLength > 0) (storage.payload as TensorData).fill(99);
  }
}

class CastGivesItsOperand extends ReferenceBackend {
  override cast(x: Tensor, dtype: Tensor['dtype']): Tensor {
    return x.dtype === dtype ? x : super.cast(x, dtype);
  }
}

class ForgetsToCountBytes extends ReferenceBackend {
  override memory(): MemoryUse {
    return { ...super.memory(), bytes: 0 };
  }
}

const mutant = (wrong: string, caughtBy: string, Kind: new () => ReferenceBackend): Mutant => ({
  wrong,
  caughtBy,
  create: () => new Kind(),
});

export const lifetimeMutants: readonly Mutant[] = [
  mutant('a scope frees nothing', 'lifetimes', ScopeFreesNothing),
  mutant('a scope frees its result', 'lifetimes', ScopeFreesItsResult),
  mutant('a scope leaks when its body throws', 'lifetimes', ScopeLeaksWhenItFails),
  mutant('a scope takes asynchronous bodies', 'lifetimes', ScopeTakesPromises),
  mutant('keep does nothing', 'lifetimes', KeepForgetsOuterScopes),
  mutant('reshape copies', 'reshape', ReshapeCopies),
  mutant('shared storage is freed with its first handle', 'lifetimes', FreesSharedStorage),
  mutant('cast to the same dtype gives its operand', 'cast', CastGivesItsOperand),
  mutant('bytes are not counted', 'lifetimes', ForgetsToCountBytes),
];
