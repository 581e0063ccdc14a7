"""Has transformers compute the logits of checkpoints and compares them. On standard input a JSON object a line, with the
folder of the checkpoint and that of the expected logits; on standard output one a line: the largest difference, the
largest logit, and whatever transformers did not find or did not know of.

FP8 is dequantised here first, by the scales that the checkpoint brings: the FP8 layers of transformers need a GPU.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import DeepseekV3ForCausalLM
from transformers.utils import logging

BLOCK = 128


def tensors(folder):
    return {name: value for file in Path(folder).glob("*.safetensors") for name, value in load_file(file).items()}


def dequantised(folder, config, place):
    """Writes the checkpoint again, in F32 and without its quantization_config."""
    weights = tensors(folder)
    for name in [name for name in weights if name.endswith("_scale_inv")]:
        scale = weights.pop(name)
        matrix = weights[name.removesuffix("_scale_inv")]
        rows, columns = matrix.shape
        scales = scale.repeat_interleave(BLOCK, 0)[:rows].repeat_interleave(BLOCK, 1)[:, :columns]
        weights[name.removesuffix("_scale_inv")] = matrix.float() * scales
    save_file({name: value.float().contiguous() for name, value in weights.items()}, Path(place, "model.safetensors"))
    plain = {key: value for key, value in config.items() if key != "quantization_config"}
    Path(place, "config.json").write_text(json.dumps(plain))
    return place


def compare(name, checkpoint, expected):
    config = json.loads(Path(checkpoint, "config.json").read_text())
    is_fp8 = "quantization_config" in config
    with tempfile.TemporaryDirectory() as place:
        folder = dequantised(checkpoint, config, place) if is_fp8 else checkpoint
        model, info = DeepseekV3ForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    wanted = tensors(expected)
    with torch.no_grad():
        logits = model.eval()(input_ids=wanted["ids"][None].long()).logits[0]
    # The class has no multi-token prediction; those layers come after its own.
    extra = re.compile(rf"model\.layers\.({config['num_hidden_layers']}|{config['num_hidden_layers'] + 1})\.")
    return {
        "name": name,
        "difference": (logits - wanted["logits"]).abs().max().item(),
        "largest": wanted["logits"].abs().max().item(),
        "same": (logits.argmax(-1) == wanted["logits"].argmax(-1)).all().item(),
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(key for key in info["unexpected_keys"] if not extra.match(key)),
        "dequantised": is_fp8,
    }


logging.set_verbosity_error()
logging.disable_progress_bar()
for line in sys.stdin:
    print(json.dumps(compare(**json.loads(line))), flush=True)
