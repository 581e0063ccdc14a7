/**
 * Muon: which parameters it moves, and one update of one matrix. The arithmetic is the backend's (`Backend.muon`).
 *
 * Muon makes the momentum of a matrix orthogonal, so that a step moves all directions alike that a hidden layer maps, and
 * not only the few that dominate the gradient. Moonlight and Kimi K2, which have DeepSeek-V3's architecture, were trained
 * with it. That suits matrices between hidden vectors. Left to AdamW are:
 *
 * - norms and other vectors, which have no directions to level;
 * - the embedding and the head, whose rows belong to a token each and mostly have no gradient at all in a step;
 * - routers, for the same reason as the head: a row is the classifier of one expert, and an orthogonal step would move the
 *   rows of experts that saw few tokens as far as those of all others, by what is noise. (Moonlight's paper names the
 *   head, the embedding and norms only.)
 *
 * Each matrix of the checkpoint is one matrix here, so experts are orthogonalised one by one, and keys with their values
 * (`kv_b_proj`), as the checkpoint has them.
 *
 * Sources: Keller Jordan, "Muon: An optimizer for hidden layers in neural networks" (2024); "Muon is Scalable for LLM
 * Training" (arXiv 2502.16982), section 2.
 */
import type { Backend, MuonOptions, MuonState, Tensor } from '@mariana/core';

export type { MuonOptions, MuonState };

const ROWS_OF_THEIR_OWN = /(^|\.)(embed_tokens|lm_head|shared_head\.head|mlp\.gate)\.weight$/;

/** Whether Muon moves the parameter of this name in the checkpoint: hidden matrices, but not routers. */
export function isMuonParameter(name: string, { rank }: Pick<Tensor, 'rank'>): boolean {
  return rank === 2 && !ROWS_OF_THEIR_OWN.test(name);
}

/**
 * The matrix and its momentum after one step, in new tensors: `Backend.muon` for one.
 *
 * @param gradient - F32 [rows, columns], of the shape of the parameter.
 * @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `INVALID_ARGUMENT` for a momentum outside 0 (included) to 1.
 */
export function muonStep(backend: Backend, state: MuonState, gradient: Tensor, options: MuonOptions): MuonState {
  return backend.muon([state], [gradient], options)[0]!;
}
