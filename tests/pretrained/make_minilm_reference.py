"""Writes reference.safetensors beside a checkpoint of sentence-transformers: what PyTorch makes of it.

    python tests/pretrained/make_minilm_reference.py [FOLDER]

(needs PyTorch, transformers and safetensors; FOLDER is build/minilm, which scripts/fetch_minilm.sh fills.) 1,000
sequences of 1 to 512 token ids: uniform draws of the vocabulary between [CLS] and [SEP] where there is room, lengths
spread evenly over the logarithm, with both ends among them. Each is computed alone in float32, as transformers computes
by default, and in float64, which tells how much of a difference is whose.

    lengths     I32, 1000
    ids         I32, of all sequences one after another
    embeddings  F32, 1000 x D: means over tokens, divided by their length
    exact       F32, the same in float64
    hidden      F32, of the first 16 sequences' tokens x D: the last hidden states in float64
"""

import os
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModel

COUNT, LONGEST, HIDDEN = 1000, 512, 16


@torch.no_grad()
def main(folder):
    generator = torch.Generator().manual_seed(1908_10084)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    lengths = torch.exp(torch.rand(COUNT, generator=generator) * torch.log(torch.tensor(LONGEST + 1.0))).long()
    lengths = lengths.clamp(1, LONGEST)
    lengths[0], lengths[1] = LONGEST, 1
    vocabulary = model.config.vocab_size
    sequences = []
    for length in lengths.tolist():
        ids = torch.randint(vocabulary, (length,), generator=generator)
        if length > 2:
            ids[0], ids[-1] = 101, 102
        sequences.append(ids)
    results = {}
    for name, dtype in [("embeddings", torch.float32), ("exact", torch.float64)]:
        model = model.to(dtype)
        rows, hidden = [], []
        for i, ids in enumerate(sequences):
            states = model(input_ids=ids[None]).last_hidden_state[0]
            if i < HIDDEN:
                hidden.append(states)
            rows.append(torch.nn.functional.normalize(states.mean(0), dim=0))
        results[name] = torch.stack(rows).float().contiguous()
        results["hidden"] = torch.cat(hidden).float().contiguous()
    results["lengths"] = lengths.int()
    results["ids"] = torch.cat(sequences).int()
    path = pathlib.Path(folder) / "reference.safetensors"
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    save_file(results, temporary)
    temporary.replace(path)
    difference = (results["embeddings"] - results["exact"]).norm(dim=1).max()
    print(f"{path}: {COUNT} sequences, {len(results['ids'])} tokens; float32 is within {difference:.2g} of float64")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build/minilm")
