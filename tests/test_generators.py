"""All public functions of `lib` that take a `generator`: their randomness is its randomness, and nothing else's.

They are found by reading the sources, methods and the samplers that a function returns included. Each needs a line in
CALLS below; a new function without one fails here.
"""

import ast
import importlib
import random
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch
from torch import nn

from lib import ROOT
from lib.adapters import LoraSettings, trainable_parameters
from lib.adapters.targets import select_targets
from lib.models import Decoder, Encoder, SkipGram, load_small
from lib.text import bert_tokenizer, load_corpus, smollm2_tokenizer
from lib.training.masking_design import Design
from lib.worlds.fine_tuning import Reviews
from lib.worlds.review_world import review_world, small_decoder
from lib.worlds.verifiable import RlvrSettings, Sum, with_adapter
from lib.worlds.wikipedia_questions import as_demonstrations, wikipedia_questions
from tests.models import small
from tests.worlds.tiny_world import tiny_world

SETTINGS = LoraSettings(rank=2, targets=("0",))
IDS = torch.arange(5, 29).view(2, 12)
STREAM = torch.arange(5, 305)
ZEROS = torch.zeros(40)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decoder(**changes) -> Decoder:
    return Decoder(small.decoder(**changes), generator=seeded()).eval()


def encoder() -> Encoder:
    return Encoder(small.encoder(), generator=seeded()).eval()


def net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6))


def changed(model: nn.Module, change) -> nn.Module:
    """The model, for functions that change one in place."""
    change(model)
    return model


def compare(f, g):
    world = review_world(8)
    return f(world, small_decoder(world.tokenizer.vocab_size), lambda texts: torch.zeros(len(texts)), 9, generator=g)


def review_answers(f, g):
    world = review_world(8)
    return f(world, small_decoder(world.tokenizer.vocab_size), 9, generator=g)


def sampled_batch(f, g):
    world = tiny_world()
    settings = importlib.import_module(f.__module__).PolicySettings(prompts=4, samples=3, max_new_tokens=3)
    return f(world.start(), world.reference, world.score, torch.arange(3)[:, None], settings, generator=g)


def masked(f, g):
    """Token by token, and word by word."""
    options = {"mask_id": 1, "vocab_size": 40, "special_ids": (0,), "rate": 0.5, "generator": g}
    return [f(IDS, **options, replace=(0.3, 0.4, 0.3)), f(IDS, **options, word_ids=torch.arange(24).view(2, 12) // 2)]


def verified_step(f, g):
    settings = RlvrSettings(samples=2, max_new_tokens=3, rank=2)
    policy = with_adapter(decoder(vocab_size=49152, max_positions=64), settings)
    optimizer = torch.optim.Adam(trainable_parameters(policy), lr=0.1)
    return tuple(f(policy, smollm2_tokenizer(), [Sum(1, 2)], optimizer, settings, g))


def drawn_rows(f, g):
    small_rollout = as_demonstrations(wikipedia_questions("validation")[:9], load_small("gpt-wiki-small").tokenizer)
    return list(f(small_rollout, 3)(g))


def written_answers(f, g):
    model, tokenizer, _ = load_small("gpt-wiki-small")
    return f(model, tokenizer, ["What", "What is Art?"], 5, temperature=1.0, generator=g)


def infilled(f, g):
    tokenizer = load_small("bart-wiki-small").tokenizer
    return tuple(f([[5, 6, 7], [8, 9, 10, 11, 12]], tokenizer, batch_size=9)(g))


CALLS = {  # "module.function" -> its result for a generator; what is changed in place is the result, too
    "block_answers.cases": lambda f, g: f(g),
    "bottleneck.Bottleneck": lambda f, g: f(6, 2, generator=g),
    "bottleneck.inject_bottleneck": lambda f, g: changed(decoder(), lambda m: f(m, 2, generator=g)),
    "bradley_terry.recovery_error": lambda f, g: f(torch.arange(3.0), 50, repeats=2, generator=g),
    "bradley_terry.simulate_comparisons": lambda f, g: f(torch.arange(3.0), 30, generator=g),
    "calibration.calibrated_errors": lambda f, g: f(torch.linspace(0.5, 1, 40), draws=3, generator=g),
    "decoder.Decoder": lambda f, g: f(small.decoder(), generator=g),
    "denoising.document_rotation": lambda f, g: f(range(300), generator=g),
    "denoising.infilling_sampler": infilled,
    "denoising.poisson_spans": lambda f, g: f(300, generator=g),
    "denoising.sentence_permutation": lambda f, g: f(range(30), end_ids=range(30), generator=g),
    "denoising.t5_noise": lambda f, g: f(60, generator=g),
    "denoising.text_infilling": lambda f, g: f(range(2, 300), mask_id=1, generator=g),
    "denoising.token_deletion": lambda f, g: f(range(300), generator=g),
    "denoising.token_masking": lambda f, g: f(range(2, 300), mask_id=1, generator=g),
    "draws.uniform": lambda f, g: f(g, 3, 0, 1),
    "decoding.generate": lambda f, g: f(decoder(), IDS[:, :4], 6, temperature=1.0, generator=g),
    "elmo.BidirectionalLM": lambda f, g: f(5, 4, generator=g),
    "elmo.StackedBidirectionalLM": lambda f, g: f(5, 4, generator=g),
    "encoder.Encoder": lambda f, g: f(small.encoder(), generator=g),
    "encoder_decoder.EncoderDecoder": lambda f, g: f(small.seq2seq(), generator=g),
    "fine_tuning.in_epochs": lambda f, g: f(
        Reviews(torch.arange(16)[:, None], torch.ones(16, 1).long(), torch.arange(16)), 4
    )(g),
    "heads.MaskedLM": lambda f, g: f(small.encoder(), generator=g),
    "heads.OnBackbone": lambda f, g: f(encoder(), 2, generator=g),
    "heads.SequenceClassifier": lambda f, g: f(encoder(), 3, generator=g),
    "heads.SpanExtractor": lambda f, g: f(encoder(), generator=g),
    "heads.TokenClassifier": lambda f, g: f(encoder(), 3, generator=g),
    "induction.induction_scores": lambda f, g: f(decoder(), 5, generator=g),
    "induction.repeated_tokens": lambda f, g: f(40, 5, generator=g),
    "layers.initialise": lambda f, g: changed(decoder(), lambda m: f(m, small.decoder(), g)),
    "lora.attach": lambda f, g: changed(net(), lambda m: f(m, "x", SETTINGS, select_targets(m, ("0",)), g)),
    "lora.inject_lora": lambda f, g: changed(net(), lambda m: f(m, SETTINGS, generator=g)),
    "lora_layer.Adapter": lambda f, g: f(SETTINGS, select_targets(net(), ("0",)), g),
    "lora_layer.LowRank": lambda f, g: f(select_targets(net(), ("0",))[0], 2, g),
    "mask_answers.fate_by_place": lambda f, g: f(IDS, 1, 40, [0], 0.5, g),
    "mask_answers.fate_of_the_row": lambda f, g: f(IDS, 1, 40, [0], 0.5, g),
    "mask_answers.fixed_number": lambda f, g: f(IDS, 1, 40, [0], 0.5, g),
    "mask_answers.limits_of_15": lambda f, g: f(IDS, 1, 40, [0], 0.5, g),
    "mask_answers.loss_cases": lambda f, g: f(g),
    "mask_answers.mask_tokens": lambda f, g: f(IDS, 1, 40, [0], 0.5, g),
    "mask_answers.no_copy": lambda f, g: f(IDS.clone(), 1, 40, [0], 0.5, g),
    "mask_answers.rate_of_all": lambda f, g: f(IDS, 1, 40, [0], 0.5, g),
    "mask_answers.split_of_all": lambda f, g: f(IDS, 1, 40, [0], 0.5, g),
    "mask_answers.wrong_masking": lambda f, g: f((0.3, 0.4), rest=True)(IDS, 1, 40, [0], 0.5, g),
    "masking.mask_tokens": masked,
    "masking_design.designed_batch": lambda f, g: f(
        IDS, Design(0.5, 0.5, (0.0, 1.0, 0.0)), bert_tokenizer(), generator=g
    ),
    "next_sentence.PreTrainingModel": lambda f, g: f(small.encoder(), generator=g),
    "packing.sample_windows": lambda f, g: f(STREAM, 5, 3, generator=g),
    "policy.sample_batch": sampled_batch,
    "preference.simulate_preferences": lambda f, g: f(ZEROS, ZEROS, generator=g),
    "preferences.batches_of": lambda f, g: f(tiny_world().pairs(20, generator=seeded()), 8)(g),
    "prefix.PrefixTuning": lambda f, g: f(decoder(), 3, generator=g),
    "prefix.PromptTuning": lambda f, g: f(decoder(), 3, generator=g),
    "recipes.mlm_sampler": lambda f, g: f(STREAM, bert_tokenizer(), batch_size=5, length=9)(g),
    "reviews.write_reviews": lambda f, g: f(20, generator=g),
    "rankings.simulate_rankings": lambda f, g: f(torch.arange(3.0), 20, generator=g),
    "reward.RewardModel": lambda f, g: f(decoder(), generator=g),
    "reward.ValueModel": lambda f, g: f(decoder(), generator=g),
    "pairs.next_sentence_pairs": lambda f, g: f(load_corpus("wikipedia").splits["test"], 6, generator=g),
    "review_world.ReviewWorld.answers": review_answers,
    "review_world.compare_answers": compare,
    "rollout.rollout": lambda f, g: f(decoder(), IDS[:, :4], 6, samples=2, generator=g),
    "sentences.draw_pairs": lambda f, g: vars(f([("x", ["a", "b", "c"])], len, 9, generator=g)),
    "scaling.one_pass": lambda f, g: f(STREAM[:, None], 9)(g),
    "scaling_choices.shuffled_twice": lambda f, g: f(STREAM[:, None])(g),
    "speculative.speculative_generate": lambda f, g: f(
        decoder(), IDS[:1, :4], 6, lambda ids, number, _: (ids[:number], None), temperature=1.0, generator=g
    ),
    "subspace.RandomSubspace": lambda f, g: list(f(decoder(), 3, generator=g).signs.values()),
    "swapped.draw_swapped": lambda f, g: list(f("validation", 9, g)),
    "topics.draw_sentences": lambda f, g: f(9, 4, generator=g),
    "verifiable.rlvr_step": verified_step,
    "word2vec.SkipGram": lambda f, g: f(5, 4, generator=g),
    "word2vec.SkipGram.draw_batch": lambda f, g: f(
        SkipGram(5, 4, generator=seeded()), IDS.view(-1, 2), ZEROS + 1, 9, 3, generator=g
    ),
    "wikipedia_questions.batches_without_slack": drawn_rows,
    "wikipedia_questions.write_answers": written_answers,
}


# --- what is found ---


def takes(node: ast.AST, argument: str) -> bool:
    arguments = node.args
    return argument in {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}


def returns_sampler(function: ast.FunctionDef, argument: str) -> bool:
    """Whether it returns a function of a generator, written as a lambda or as a function within it."""
    inner = {n.name for n in function.body if isinstance(n, ast.FunctionDef) and takes(n, argument)}
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return any(isinstance(value, ast.Lambda) and takes(value, argument) for value in returned) or any(
        isinstance(value, ast.Name) and value.id in inner for value in returned
    )


def public_names(body: list[ast.stmt], prefix: str = "", argument: str = "generator") -> Iterator[str]:
    """Functions, methods and classes whose own parameters, or whose sampler's, include a generator (or a seed)."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_names(node.body, f"{prefix}{node.name}.", argument)
        elif isinstance(node, ast.FunctionDef) and (takes(node, argument) or returns_sampler(node, argument)):
            if node.name == "__init__":
                yield prefix.rstrip(".")
            elif not node.name.startswith("_"):
                yield prefix + node.name


def found(argument: str) -> dict[str, tuple[str, str]]:
    """ "module.name" -> where to import it from."""
    places = {}
    for path in sorted((ROOT / "lib").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in public_names(ast.parse(path.read_text(encoding="utf-8")).body, argument=argument):
            key = f"{path.stem}.{name}"
            assert key not in places, f"two functions of the name {key}"
            places[key] = module, name
    return places


FOUND = found("generator")


def test_every_function_with_a_generator_is_called_here():
    assert sorted(FOUND.keys() - CALLS.keys()) == [], "these need a line in CALLS"
    assert sorted(CALLS.keys() - FOUND.keys()) == [], "these are no more"


# --- what is promised ---


@pytest.mark.parametrize("key", sorted(CALLS.keys() & FOUND.keys()))
def test_randomness_comes_from_the_generator_alone(key):
    check(key, imported(*FOUND[key]), CALLS[key], seeded)


def imported(module: str, name: str):
    function = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    return function


def check(key, function, call, source) -> None:
    """The result is that of `source(5)`, a fresh generator or a seed, and of nothing else; nothing else is drawn from."""
    call(function, source(1))  # what is loaded once may draw once
    before = global_states()
    first = plain(call(function, source(5)))
    untouched = global_states() == before
    assert untouched, f"{key} draws from a global generator"
    random.random(), np.random.rand(), torch.rand(1)  # another global state must not matter
    again, other = plain(call(function, source(5))) == first, plain(call(function, source(6))) == first
    assert again, f"{key} differs for the same state"
    assert not other, f"{key} is the same for every state"


def global_states() -> list:
    """Of torch and NumPy. Python's is drawn from by beartype, which checks types here; its user differs from call to call."""
    _, numbers, *rest = np.random.get_state()
    return [numbers.tobytes(), rest, torch.get_rng_state().numpy().tobytes()]


def plain(result):
    """A result as something that == compares bit by bit."""
    if isinstance(result, nn.Module):
        return plain(result.state_dict())
    if isinstance(result, torch.Generator):
        return result.get_state().tolist()
    if isinstance(result, np.ndarray):
        return str(result.dtype), result.shape, result.tobytes()
    if isinstance(result, torch.Tensor):
        return str(result.dtype), result.shape, result.detach().numpy().tobytes()
    if is_dataclass(result) and not isinstance(result, type):
        return [plain(getattr(result, field.name)) for field in fields(result)]
    if isinstance(result, dict):
        return {key: plain(value) for key, value in result.items()}
    if isinstance(result, (tuple, list)):
        return [plain(value) for value in result]
    assert isinstance(result, (str, int, float, bool, type(None))), f"compare a {type(result).__name__} here"
    return result


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def draw(n, generator): ...", ["draw"]),
        ("def draw(n, *, generator=None): ...", ["draw"]),
        ("def _draw(generator): ...", []),
        ("def draw(n): return lambda generator: n", ["draw"]),
        ("def draw(n):\n  def sample(generator): ...\n  return sample", ["draw"]),
        ("def train(n):\n  def sample(generator): ...\n  fit(sample, lambda generator: n)", []),
        ("class A:\n  def __init__(self, generator): ...\n  def draw(self, generator): ...", ["A", "A.draw"]),
        ("class _A:\n  def draw(self, generator): ...", []),
    ],
)
def test_what_counts_as_public(source, names):
    assert list(public_names(ast.parse(source).body)) == names
