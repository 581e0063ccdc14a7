"""Training steps in PyTorch, of the same model and loss as Mariana's. Arguments: what (see below), the folder of the
checkpoint that train-files.ts wrote, the number of threads.

- `transformers`: DeepseekV3ForCausalLM with torch.optim.AdamW, as its users train it. The library has no training of
  multi-token prediction, so the module is put together here from its own layers.
- `lean`: as little as PyTorch needs (pytorch_lean.py), in F32; `lean-bf16` the same under autocast.
"""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from pytorch_lean import LeanModel
from subject import serve, timed

LEARNING_RATE, BETAS, WEIGHT_DECAY, MAX_NORM, MTP_WEIGHT = 1e-3, (0.9, 0.95), 0.1, 1.0, 0.3


def head_loss(logits, targets, positions):
    """Cross-entropies of all rows, over a number of positions that may be more than there are rows."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum") / positions


class Trainer:
    """A model and its optimizer. The model says its logits: those of the main model, and those of the module."""

    def __init__(self, model, parameters, optimizer, precision):
        self.model, self.parameters, self.optimizer, self.precision = model, parameters, optimizer, precision

    def losses(self, tokens):
        """Of tokens [sequences, T + 1]: the first T predict the last T; the module's row i predicts token i + 2."""
        positions = tokens.shape[0] * (tokens.shape[1] - 1)
        cast = torch.autocast("cpu", dtype=torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with cast:
            main, mtp = self.model(tokens[:, :-1], tokens[:, 1:-1])
            return head_loss(main.float(), tokens[:, 1:], positions), head_loss(mtp.float(), tokens[:, 2:], positions)

    def step(self, tokens):
        self.optimizer.zero_grad()
        main, mtp = self.losses(tokens)
        (main + MTP_WEIGHT * mtp).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, MAX_NORM)
        self.optimizer.step()


class Transformers(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        from transformers import DeepseekV3ForCausalLM
        from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3DecoderLayer, DeepseekV3RMSNorm
        from transformers.utils import logging

        logging.set_verbosity_error()  # it knows no module, and would list its weights
        logging.disable_progress_bar()
        self.main = DeepseekV3ForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
        config = self.main.config
        width, layer = config.hidden_size, config.num_hidden_layers
        self.enorm = DeepseekV3RMSNorm(width, config.rms_norm_eps)
        self.hnorm = DeepseekV3RMSNorm(width, config.rms_norm_eps)
        self.eh_proj = torch.nn.Linear(2 * width, width, bias=False)
        self.decoder = DeepseekV3DecoderLayer(config, layer)
        self.norm = DeepseekV3RMSNorm(width, config.rms_norm_eps)
        self.load_module(load_file(Path(folder, "model.safetensors")), f"model.layers.{layer}.", config.n_routed_experts)

    def load_module(self, weights, prefix, experts):
        own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        matrix = lambda i, name: own.pop(f"mlp.experts.{i}.{name}_proj.weight")
        gate_up = [torch.cat((matrix(i, "gate"), matrix(i, "up"))) for i in range(experts)]
        down = [matrix(i, "down") for i in range(experts)]
        for copy in ("embed_tokens.weight", "shared_head.head.weight"):
            own.pop(copy)
        parts = {name: own.pop(f"{name}.weight") for name in ("enorm", "hnorm", "eh_proj", "shared_head.norm")}
        own["mlp.experts.gate_up_proj"], own["mlp.experts.down_proj"] = torch.stack(gate_up), torch.stack(down)
        self.decoder.load_state_dict(own)
        with torch.no_grad():
            for name, value in parts.items():
                getattr(self, name.removeprefix("shared_head.")).weight.copy_(value)

    def forward(self, ids, next_ids):
        model, head = self.main.model, self.main.lm_head
        hidden = model(input_ids=ids, use_cache=False).last_hidden_state
        embedded = self.enorm(model.embed_tokens(next_ids))
        x = self.eh_proj(torch.cat((embedded, self.hnorm(hidden[:, :-1])), dim=-1))
        places = model.rotary_emb(x, torch.arange(x.shape[1])[None])
        x = self.decoder(x, position_embeddings=places, attention_mask=None)
        return head(hidden), head(self.norm(x))


def trainer(kind, folder):
    if kind == "transformers":
        model = Transformers(folder)
        parameters = list(model.parameters())
        options = {"lr": LEARNING_RATE, "betas": BETAS, "weight_decay": WEIGHT_DECAY}
        return Trainer(model, parameters, torch.optim.AdamW(parameters, **options), "f32")
    model = LeanModel(folder)
    parameters = list(model.parameters.values())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, fused=True)
    return Trainer(model, parameters, optimizer, "bf16" if kind == "lean-bf16" else "f32")


def main():
    kind, folder, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    batches = [torch.tensor(batch) for batch in json.loads(Path(folder, "batches.json").read_text())]
    made = []
    loading = timed(lambda: made.append(trainer(kind, folder)))
    subject = made[0]
    with torch.no_grad():
        main_loss, mtp_loss = subject.losses(batches[0])

    def train(steps):
        def run():
            for step in range(steps):
                subject.step(batches[step % len(batches)])

        return timed(run)

    dtype = torch.bfloat16 if kind == "lean-bf16" else torch.float32

    def product(size, repeats):
        a, b = torch.rand(size, size, dtype=dtype), torch.rand(size, size, dtype=dtype)
        torch.matmul(a, b)
        return timed(lambda: [torch.matmul(a, b) for _ in range(repeats)])

    about = f"PyTorch {torch.__version__}"
    if kind == "transformers":
        import transformers

        about += f", transformers {transformers.__version__}"
    greeting = {
        "loadMs": loading["ms"],
        "otherCores": loading["otherCores"],
        "about": about,
        "loss": main_loss.item(),
        "mtpLoss": mtp_loss.item(),
    }
    serve(greeting, {"train": train, "product": product})


main()
