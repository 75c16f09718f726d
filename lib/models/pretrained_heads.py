"""Which of our models a state dict of `transformers` belongs to, told by its keys, and the table of its names."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from lib.models.config import TransformerConfig
from lib.models.count import MODELS
from lib.models.heads import MaskedLM, SequenceClassifier, SpanExtractor, TokenClassifier
from lib.models.next_sentence import PreTrainingModel
from lib.models.pretrained_maps import BART, BERT, GPT2, LLAMA, MLM_HEAD, Table, t5, t5_encoder

BACKBONES = {
    "bert": BERT,
    "roberta": BERT,
    "gpt2": GPT2,
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "bart": BART,
}

OUTPUTS = ("classifier.out_proj", "classifier", "score", "qa_outputs", "cls.seq_relationship")
"""What transformers calls the last layer of a classifier: RoBERTa's, BERT's, a decoder's, a span's, next sentence's."""


def as_found(config: TransformerConfig, family: str, state: Mapping[str, Tensor]) -> TransformerConfig:
    """What a configuration of `transformers` leaves to the model class, read off the keys."""
    if family in ("bert", "roberta"):
        pooled = any(key.startswith(("pooler.dense.", "classifier.dense.")) for key in state)
        return replace(config, pooler=pooled)
    if family == "bart":
        return replace(config, logits_bias="final_logits_bias" in state)
    if family == "t5" and state and not any(key.startswith(("decoder.block.", "decoder.final")) for key in state):
        return replace(config, architecture="encoder", num_layers=config.encoder_layers, num_encoder_layers=None)
    if family == "t5":  # transformers 5 ties even 1.1's head; the original has its own
        return replace(config, tie_embeddings=same(state.get("lm_head.weight"), state.get("shared.weight")))
    if _output(family, state) and "lm_head.weight" not in state:
        return replace(config, tie_embeddings=True)  # a classifier replaces the output layer
    return config


def build(
    config: TransformerConfig, family: str, state: Mapping[str, Tensor], architecture: str
) -> tuple[nn.Module, Table]:
    """Our model and where its weights are found; `architecture` is the name of their class, "" if unknown."""
    if family == "t5":
        table = t5_encoder(config.gated) if config.architecture == "encoder" else t5(config.gated)
    else:
        table = BACKBONES[family]
    if any(f"{place}.bias" in state for place in MLM_HEAD.get(family, {}).get("head", ())):
        return _with_mlm_head(config, family, state, table)
    if output := _output(family, state):
        pooler: Table = {"backbone.pooler": ("classifier.dense",)} if output == "classifier.out_proj" else {}
        model = _classifier(config, output, state, architecture)
        return model, _under("backbone", table) | pooler | {"output": (output,)}
    return MODELS[config.architecture](config), table


def same(copy: Tensor | None, original: Tensor | None) -> bool:
    """Whether two names hold one matrix; one of them may be absent."""
    if copy is None or original is None:
        return True
    return copy.shape == original.shape and bool((copy == original).all())


def _with_mlm_head(
    config: TransformerConfig, family: str, state: Mapping[str, Tensor], table: Table
) -> tuple[nn.Module, Table]:
    if family == "roberta" and config.activation != "gelu":  # its head knows no other, ours follows config
        raise ValueError(f"a RoBERTa head with the activation {config.activation!r} is not supported: only gelu")
    table = _under("encoder", table) | MLM_HEAD[family]
    if any(key.startswith("cls.seq_relationship.") for key in state):
        return PreTrainingModel(config), table | {"next_sentence": ("cls.seq_relationship",)}
    return MaskedLM(config), table


def _output(family: str, state: Mapping[str, Tensor]) -> str | None:
    if family in ("bart", "t5"):
        return None
    return next((name for name in OUTPUTS if f"{name}.weight" in state), None)


def _classifier(config: TransformerConfig, output: str, state: Mapping[str, Tensor], architecture: str) -> nn.Module:
    labels = state[f"{output}.weight"].shape[:1].numel()
    if config.architecture == "decoder":
        tokens, pool = f"{output}.bias" in state, "last"
    else:
        tokens, pool = "TokenClassification" in architecture or not config.pooler, "first"
    if output == "qa_outputs" or tokens:
        config = replace(config, pooler=False)  # older files hold one that nobody reads
    backbone = MODELS[config.architecture](config)
    if output == "qa_outputs":
        return SpanExtractor(backbone)
    return TokenClassifier(backbone, labels) if tokens else SequenceClassifier(backbone, labels, pool)


def _under(place: str, table: Table) -> Table:
    return {f"{place}.{ours}": theirs for ours, theirs in table.items()}
