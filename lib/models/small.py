"""The small models that this repository ships in data/models/, and the format they are kept in.

A model is three files: NAME.safetensors (weights, float16), NAME.tokenizer.json, and NAME.json with all that
is needed to rebuild and to judge it: class, configuration, how it was trained, the SHA-256 of the other two.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lib import DATA
from lib.files import atomic_path, atomic_write, sha256
from lib.models.config import TransformerConfig
from lib.models.count import MODELS
from lib.models.heads import MaskedLM
from lib.names import nearest
from lib.text import Tokenizer

LIMIT = 3_000_000  # bytes of the weights' file: what a repository may carry
FOLDER = DATA / "models"


class SmallModel(NamedTuple):
    """What `load_small` returns."""

    model: nn.Module  # in eval(), float32
    tokenizer: Tokenizer
    info: dict[str, Any]  # how it was trained: settings, seed, losses


def save_small(
    model: nn.Module, tokenizer: Tokenizer, name: str, info: Mapping[str, Any], *, folder: Path = FOLDER
) -> None:
    """Keep a trained model, its tokenizer and `info` (settings, seed, losses: anything JSON) under `name`.

    `model` is an `Encoder`, `Decoder`, `EncoderDecoder` or `MaskedLM`. Weights are rounded to float16. Raises
    TypeError for another model or for `info` that is no JSON; ValueError for a `name` that is no file name, a
    vocabulary that is not the tokenizer's, weights that float16 cannot hold, or a file above 3 MB.
    """
    _check_name(name)
    kind = _kind(model)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(
            f"tokenizer has {tokenizer.vocab_size} tokens, more than the model's vocabulary of "
            f"{model.config.vocab_size}"
        )
    described = kind | {"config": asdict(model.config), "info": dict(info)}
    json.dumps(described)  # a TypeError now, before anything is written
    weights = _halved(model)
    files = _files(name, folder)
    with atomic_path(files["weights"]) as beside:
        save_file(weights, beside)
        if beside.stat().st_size > LIMIT:
            raise ValueError(f"{name} takes {beside.stat().st_size:,} bytes, more than the {LIMIT:,} allowed")
    tokenizer.save(files["tokenizer"])
    checksums = {file.name: sha256(file) for file in files.values()}
    with atomic_write(Path(folder) / f"{name}.json") as file:
        json.dump(described | {"sha256": checksums}, file, indent=2)
        file.write("\n")


def load_small(name: str, *, folder: Path = FOLDER) -> SmallModel:
    """A model that `save_small` kept: `model, tokenizer, info = load_small("bert-wiki-small")`.

    Raises ValueError for an unknown name (the nearest is suggested) or for files that are damaged, and
    FileNotFoundError if one of them is missing.
    """
    _check_name(name)
    description = Path(folder) / f"{name}.json"
    if not description.is_file():
        raise ValueError(f"there is no model {name!r}: {nearest(name, small_models(folder))}")
    try:
        described = json.loads(description.read_text(encoding="utf-8"))
        config = TransformerConfig(**described["config"])
        checksums, info = described["sha256"], described["info"]
        build = _builder(described)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{description.name} does not describe a model ({error}): {_again(name)}") from error
    files = _files(name, folder)
    _verify(files, checksums, name)
    with torch.device("meta"):
        model = build(config)
    model.load_state_dict(load_file(files["weights"]), assign=True)
    return SmallModel(model.eval().float(), Tokenizer.load(files["tokenizer"]), info)


def _halved(model: nn.Module) -> dict[str, Tensor]:
    weights = {key: value.detach().half().contiguous() for key, value in model.state_dict().items()}
    broken = [key for key, value in weights.items() if not value.isfinite().all()]
    if broken:
        raise ValueError(f"model has weights in {broken[0]} that are NaN or beyond float16's range of 65,504")
    return weights


def small_models(folder: Path = FOLDER) -> list[str]:
    """The names that `load_small` knows, in order."""
    return sorted(file.stem for file in Path(folder).glob("*.json") if not file.stem.endswith(".tokenizer"))


def _kind(model: nn.Module) -> dict[str, str]:
    if isinstance(model, MaskedLM):
        return {"model": "MaskedLM", "head": model.head.kind}
    if type(model) not in MODELS.values():
        got = type(model).__name__
        raise TypeError(f"model must be an Encoder, Decoder, EncoderDecoder or MaskedLM, got {got}")
    return {"model": type(model).__name__}


def _builder(described: Mapping[str, Any]):
    """The function that builds the described model from its configuration."""
    if described["model"] == "MaskedLM":
        return lambda config: MaskedLM(config, described["head"])
    return {kind.__name__: kind for kind in MODELS.values()}[described["model"]]


def _files(name: str, folder: Path) -> dict[str, Path]:
    return {
        "weights": Path(folder) / f"{name}.safetensors",
        "tokenizer": Path(folder) / f"{name}.tokenizer.json",
    }


def _verify(files: dict[str, Path], checksums: Mapping[str, str], name: str) -> None:
    for file in files.values():
        if not file.is_file():
            raise FileNotFoundError(f"{file.name} is missing beside {name}.json: {_again(name)}")
        if checksums.get(file.name) != sha256(file):
            raise ValueError(f"{file.name} is damaged (its checksum differs): {_again(name)}")


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ValueError(f"name must be lower-case letters, digits and hyphens, got {name!r}")


def _again(name: str) -> str:
    return f"restore it with git, or make it again with `course train {name}`"
