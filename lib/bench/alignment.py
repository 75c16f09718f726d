"""Alignment with 10 million parameters: a PPO iteration, a DPO step, and the log-probabilities that both need.

Ours are the `ppo` and `preference_loss` that the lectures use; the peers (`alignment_peers`) are the same steps with
`transformers` and plain PyTorch. Both sides have the same weights and must give the same numbers before anything is
timed.
"""

import json
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.bench.alignment_peers import TheirCritic, their_log_probs, their_ppo, their_preference_loss
from lib.bench.rows import BenchRow, memory_row, peak_of, speed_row, training_step
from lib.errors import CourseError
from lib.generation import Rollout
from lib.models import Decoder, ValueModel, load_transformers
from lib.objectives import chunked_token_log_probs
from lib.training.policy import PolicySettings, ppo
from lib.training.preferences import PreferencePairs, join_answers, log_probs_of, preference_loss

SHAPE = dict(vocab_size=8192, hidden_size=256, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=8,
             num_key_value_heads=8, max_position_embeddings=256, tie_word_embeddings=True)  # fmt: skip
PROMPT = 16  # tokens
SETTINGS = PolicySettings(iterations=1, prompts=8, samples=1, max_new_tokens=48)
PAIRS, SHORTEST, LONGEST = 8, 32, 112  # of a DPO step; tokens of an answer
BETA = 0.1
REPEATS = 5
LOG_PROBS = dict(B=8, T=128, V=49_152, D=576)  # SmolLM2's vocabulary and width
TOLERANCE = 1e-4  # nats, and units of the score: how much the numbers of the two sides may differ


def rows(threads: int) -> list[BenchRow]:
    """Times of both steps, alternating within this process; peak memory of log-probabilities in separate processes."""
    torch.set_num_threads(threads)
    return [ppo_row(threads), dpo_row(threads), *log_prob_rows(threads)]


def ppo_row(threads: int) -> BenchRow:
    """Rollout, old and reference log-probabilities, values, penalised rewards, GAE, and the clipped epochs."""
    (policy, their_policy), (reference, their_reference) = _models()
    value, critic = _values(policy, their_policy)
    prompts = _ids(SETTINGS.prompts, PROMPT)

    def step() -> dict[str, float]:
        history = ppo(policy, value, reference, mean_id, prompts, SETTINGS, show_progress=False)
        return {"score": history.score[-1], "KL": history.kl[-1]}

    def their_step() -> dict[str, float]:
        return their_ppo(their_policy, critic, their_reference, mean_id, prompts, SETTINGS)

    check_same("the PPO iteration", step(), their_step())
    check_same("the models after it", *_beliefs(policy, their_policy, value, critic))
    tokens = f"{PROMPT} + {SETTINGS.max_new_tokens} tokens"
    return _row(f"PPO iteration, B {SETTINGS.prompts}, {tokens}, {SETTINGS.epochs} epochs", step, their_step, threads)


def dpo_row(threads: int) -> BenchRow:
    """Loss, backward pass and an AdamW step, for answers of different lengths with a frozen reference."""
    (policy, their_policy), (reference, their_reference) = _models()
    pairs = random_pairs()
    loss_fn = preference_loss(reference, beta=BETA)

    def loss() -> Tensor:
        return loss_fn(policy, pairs)

    def their_loss() -> Tensor:
        return their_preference_loss(their_policy, their_reference, pairs, beta=BETA)

    step, their_step = training_step(policy, loss), training_step(their_policy, their_loss)
    for when in ("before", "after"):
        check_same(f"DPO {when} an update", {"loss": loss().item()}, {"loss": their_loss().item()})
        step(), their_step()
    name = f"DPO step, {PAIRS} pairs, answers of {SHORTEST} to {LONGEST} tokens"
    return _row(name, step, their_step, threads)


def log_prob_rows(threads: int) -> list[BenchRow]:
    """Log-probabilities of chosen tokens from hidden vectors, without B × T × V logits, against log_softmax + gather.

    Forward only, as for old policies and references: at most a fifth of the memory. Forward and backward: at most a
    third, since both sides need the gradient of the output matrix.
    """
    name = "log π of chosen tokens, B {B}, T {T}, V {V}, chunked / log_softmax + gather".format(**LOG_PROBS)
    return [
        memory_row(f"{name}, {work}", "lib.bench.alignment", f"chunked {work}", f"plain {work}",
                   target=target, threads=threads)
        for work, target in (("forward", 0.2), ("forward+backward", 0.33))
    ]  # fmt: skip


def log_prob_job(variant: str, *, B: int, T: int, V: int, D: int) -> Callable[[], Tensor]:
    """Create the inputs and return the function to measure: "chunked" or "plain", "forward" or "forward+backward"."""
    side, _, work = variant.partition(" ")
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(V, (B, T), generator=generator)
    hidden = torch.randn(B, T, D, generator=generator)
    weight = torch.randn(V, D, generator=generator).mul_(D**-0.5)
    counts = (torch.arange(T) > 0).expand(B, T)
    if work == "forward+backward":
        hidden.requires_grad_(), weight.requires_grad_()

    def log_probs() -> Float[Tensor, "B T"]:
        if side == "chunked":
            found = chunked_token_log_probs(hidden, weight, ids, counts)
        else:
            everything = torch.log_softmax(hidden[:, :-1] @ weight.T, dim=-1)
            found = nn.functional.pad(everything.gather(-1, ids[:, 1:, None])[..., 0], (1, 0))
        if work == "forward+backward":
            found.sum().backward()
        return found

    return log_probs


def mean_id(answers: Rollout) -> Float[Tensor, "B"]:
    """A cheap score that training can raise: the mean token id of an answer, relative to the vocabulary, 0 to 1."""
    counts = answers.response_mask
    return (answers.input_ids * counts).sum(dim=1) / counts.sum(dim=1) / SHAPE["vocab_size"]


def random_pairs() -> PreferencePairs:
    """Pairs of random answers to random prompts, each side padded to its longest answer."""
    prompts = _ids(PAIRS, PROMPT).tolist()
    lengths = torch.linspace(SHORTEST, LONGEST, PAIRS).long().tolist()
    words = _ids(2 * PAIRS, LONGEST).flip(0).tolist()
    sides = ([row[:length] for row, length in zip(some, order)]
             for some, order in ((words[:PAIRS], lengths), (words[PAIRS:], lengths[::-1])))  # fmt: skip
    return PreferencePairs(*(join_answers(prompts, answers, pad_id=0) for answers in sides))


def check_same(what: str, ours: Mapping[str, float], theirs: Mapping[str, float]) -> None:
    """Raise CourseError unless both sides have the same numbers, up to `TOLERANCE`."""
    for name, number in ours.items():
        if not abs(number - theirs[name]) <= TOLERANCE:
            raise CourseError(
                f"{what}: the {name} of ours is {number}, of theirs {theirs[name]}, more than {TOLERANCE} apart"
            )


def _models() -> list[tuple[Decoder, nn.Module]]:
    """A policy and a reference, each as our model and as the Llama of `transformers` from which it was copied."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**SHAPE, eos_token_id=None)  # all answers have the maximum length
    pairs = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        theirs = LlamaForCausalLM(config).eval()
        pairs.append((load_transformers(theirs), theirs))
    return pairs


def _values(policy: Decoder, their_policy: nn.Module) -> tuple[ValueModel, TheirCritic]:
    """Two value models that start from the policy, with the same new layer on top."""
    value, critic = ValueModel(deepcopy(policy)), TheirCritic(their_policy)
    value.output.load_state_dict(critic.output.state_dict())
    return value.eval(), critic.eval()


@torch.no_grad()
def _beliefs(policy, their_policy, value, critic) -> tuple[dict[str, float], dict[str, float]]:
    """Mean log-probability and value per token of new sequences, for each side."""
    ids = _ids(4, PROMPT)
    all_of_it = torch.ones_like(ids, dtype=torch.bool)
    ours = log_probs_of(policy, Rollout(ids, all_of_it, all_of_it)), value(ids)
    theirs = their_log_probs(their_policy, ids), critic(ids)
    return tuple(dict(zip(("log π", "value"), (x.mean().item() for x in side))) for side in (ours, theirs))


def _ids(number: int, length: int) -> Tensor:
    return torch.randint(SHAPE["vocab_size"], (number, length), generator=torch.Generator().manual_seed(number))


def _row(name: str, ours: Callable, theirs: Callable, threads: int) -> BenchRow:
    name = f"10 M decoder, {name}, ours / transformers"
    return speed_row(name, ours, theirs, target=1.0, threads=threads, repeats=REPEATS)


def _worker(variant: str, threads: int) -> None:
    """Runs in the process of one variant: print the peak of its job, after a small job that loads shared libraries."""
    torch.set_num_threads(threads)
    log_prob_job(variant, B=2, T=4, V=100, D=8)()
    print(json.dumps(peak_of(log_prob_job(variant, **LOG_PROBS))))


if __name__ == "__main__":
    _worker(sys.argv[1], int(sys.argv[2]))
