"""Sentence vectors from a model on disk: a line with a JSON list of texts in, a line with their vectors out.

Runs in .venv-vllm, which has torch and transformers. The folder of the model is the one argument.
"""

from __future__ import annotations

import json
import sys

import torch
from transformers import AutoModel, AutoTokenizer

MAX_TOKENS = 256


def main(folder: str) -> None:
    """Answers until its input ends. A vector is the mean over the tokens of a text, of length 1."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    for line in sys.stdin:
        batch = tokenizer(json.loads(line), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**batch).last_hidden_state
        kept = batch["attention_mask"].unsqueeze(-1).float()
        mean = (hidden * kept).sum(1) / kept.sum(1)
        vectors = torch.nn.functional.normalize(mean, dim=1)
        print(json.dumps([[float(x) for x in vector] for vector in vectors]), flush=True)


main(sys.argv[1])
