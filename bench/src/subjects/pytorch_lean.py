"""DeepSeek-V3 with multi-token prediction in as little PyTorch as it takes, so that Mariana's training is compared with
what PyTorch can do and not with what a library makes of it: tokens are sorted by expert and each expert multiplies its
own rows at once, gate and up are one matrix, attention is the fused kernel, norms are the built-in ones.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file


class LeanModel:
    """Weights of a checkpoint in Hugging Face's layout; what it does not implement it refuses."""

    def __init__(self, folder):
        self.config = config = json.loads(Path(folder, "config.json").read_text())
        plain = {"rope_scaling": None, "q_lora_rank": None, "n_group": 1, "scoring_func": "sigmoid", "norm_topk_prob": True}
        for name, value in plain.items():
            if config[name] != value:
                raise ValueError(f"this implementation is for {name} = {value}, not {config[name]}")
        self.depth, self.experts = config["num_hidden_layers"], config["n_routed_experts"]
        self.heads, self.rope = config["num_attention_heads"], config["qk_rope_head_dim"]
        self.nope, self.values = config["qk_nope_head_dim"], config["v_head_dim"]
        self.load(load_file(Path(folder, "model.safetensors")))
        frequencies = 1 / config["rope_theta"] ** (torch.arange(0, self.rope, 2) / self.rope)
        angles = torch.outer(torch.arange(config["max_position_embeddings"]), frequencies)
        self.cos, self.sin = angles.cos(), angles.sin()

    def load(self, weights):
        module = f"model.layers.{self.depth}."
        for copy in ("embed_tokens.weight", "shared_head.head.weight"):
            weights.pop(module + copy)
        self.biases = {name: weights.pop(name) for name in list(weights) if name.endswith("e_score_correction_bias")}
        for name in [name for name in weights if name.endswith("gate_proj.weight")]:
            up = weights.pop(name.replace("gate_proj", "up_proj"))
            weights[name.replace("gate_proj", "gate_up")] = torch.cat((weights.pop(name), up))
        self.parameters = {name: value.float().requires_grad_() for name, value in weights.items()}

    def linear(self, x, name):
        return F.linear(x, self.parameters[f"{name}.weight"])

    def norm(self, x, name):
        return F.rms_norm(x, x.shape[-1:], self.parameters[f"{name}.weight"], self.config["rms_norm_eps"])

    def rotated(self, x):
        """Pairs (0, 1), (2, 3), ... of the last axis turned by the position, on the axis before; pairs come apart."""
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.cat((even * cos - odd * sin, odd * cos + even * sin), dim=-1)

    def attention(self, x, at):
        batch, length, _ = x.shape
        width = self.nope + self.rope
        q = self.linear(x, f"{at}.q_proj").view(batch, length, self.heads, width).transpose(1, 2)
        q_nope, q_rope = q.split((self.nope, self.rope), dim=-1)
        latent, k_rope = self.linear(x, f"{at}.kv_a_proj_with_mqa").split((self.config["kv_lora_rank"], self.rope), dim=-1)
        kv = self.linear(self.norm(latent, f"{at}.kv_a_layernorm"), f"{at}.kv_b_proj")
        k_nope, v = kv.view(batch, length, self.heads, -1).transpose(1, 2).split((self.nope, self.values), dim=-1)
        k_rope = self.rotated(k_rope[:, None]).expand(-1, self.heads, -1, -1)
        q = torch.cat((q_nope, self.rotated(q_rope)), dim=-1)
        k = torch.cat((k_nope, k_rope), dim=-1)
        # The fused kernel wants values as wide as keys; without it all scores would be held.
        v = F.pad(v, (0, width - self.values))
        y = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True, scale=width**-0.5)
        return self.linear(y[..., : self.values].transpose(1, 2).flatten(2), f"{at}.o_proj")

    def gated(self, x, at):
        gate, up = self.linear(x, f"{at}.gate_up").chunk(2, dim=-1)
        return self.linear(F.silu(gate) * up, f"{at}.down_proj")

    def mixture(self, x, at):
        rows, k = x.flatten(0, 1), self.config["num_experts_per_tok"]
        # The router stays in F32 under autocast, as in Mariana.
        with torch.autocast("cpu", enabled=False):
            scores = self.linear(rows.float(), f"{at}.gate").sigmoid()
        chosen = (scores.detach() + self.biases[f"{at}.gate.e_score_correction_bias"]).topk(k, dim=-1, sorted=False).indices
        weights = scores.gather(1, chosen)
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20) * self.config["routed_scaling_factor"]
        order = chosen.flatten().argsort()
        tokens = order // k
        counts = chosen.flatten().bincount(minlength=self.experts).tolist()
        parts = [
            self.gated(part, f"{at}.experts.{expert}")
            for expert, part in enumerate(rows[tokens].split(counts))
            if counts[expert] > 0
        ]
        routed = torch.cat(parts) * weights.flatten()[order, None]
        return self.gated(x, f"{at}.shared_experts") + torch.zeros_like(rows).index_add(0, tokens, routed.to(rows.dtype)).view_as(x)

    def layer(self, x, index):
        at = f"model.layers.{index}"
        x = x + self.attention(self.norm(x, f"{at}.input_layernorm"), f"{at}.self_attn")
        y = self.norm(x, f"{at}.post_attention_layernorm")
        is_dense = index < self.config["first_k_dense_replace"]
        return x + (self.gated(y, f"{at}.mlp") if is_dense else self.mixture(y, f"{at}.mlp"))

    def __call__(self, ids, next_ids):
        """Logits of the main model, and of the module that sees each state with the token that follows it."""
        embedding, head = self.parameters["model.embed_tokens.weight"], "lm_head"
        hidden = F.embedding(ids, embedding)
        for index in range(self.depth):
            hidden = self.layer(hidden, index)
        hidden = self.norm(hidden, "model.norm")
        at = f"model.layers.{self.depth}"
        embedded = self.norm(F.embedding(next_ids, embedding), f"{at}.enorm")
        x = self.linear(torch.cat((embedded, self.norm(hidden[:, :-1], f"{at}.hnorm")), dim=-1), f"{at}.eh_proj")
        x = self.norm(self.layer(x, self.depth), f"{at}.shared_head.norm")
        return self.linear(hidden, head), self.linear(x, head)
