"""Claims of the slides of 11_bradley_terry_reward: from rankings to rewards, two signs of one loss."""

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from lib.models import Decoder, RewardModel, TransformerConfig
from lib.objectives import bradley_terry_loss, bradley_terry_probability, centre_rewards, pairs_from_ranking
from lib.slides.recomputed.alignment import climb
from lib.slides.registry import Measured, recompute

STEPS, RATE = 200, 0.5  # of plain gradient descent on the two rewards of one pair, from 0


@recompute("A56")
def pairs_of_rankings() -> tuple[int, int]:
    """Pairs in a ranking of 4 answers and of 9."""
    return len(pairs_from_ranking(range(1, 5))), len(pairs_from_ranking(range(1, 10)))


@recompute("T26a")
def only_the_head_is_new() -> Measured:
    """Whether a reward model is a language model with a random head and gives one number per answer."""
    config = TransformerConfig(
        architecture="decoder", vocab_size=9, d_model=16, num_layers=1, num_heads=2, d_ff=16, max_positions=8
    )
    language_model = Decoder(config, generator=torch.Generator().manual_seed(0))
    known = {id(parameter) for parameter in language_model.parameters()}
    heads = []
    for seed in (1, 2):
        model = RewardModel(language_model, generator=torch.Generator().manual_seed(seed))
        heads.append([parameter for parameter in model.parameters() if id(parameter) not in known])
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    new = sum(parameter.numel() for parameter in heads[0])
    holds = new == config.d_model and model(ids).shape == (2,) and not torch.equal(heads[0][0], heads[1][0])
    return Measured(holds, f"{new} new numbers, as many as a hidden vector has")


@recompute("F13a")
def printed_loss_prefers_the_winner() -> Measured:
    """Whether gradient descent on the loss as T26 prints it puts the winner above the loser."""
    literal, right = margins_after_descent()
    words = f"after {STEPS} steps the winner leads by {literal:.1f}; with the minus by {right:.1f}"
    return Measured(literal > 0, words)


@recompute("F13b")
def margins_after_descent() -> tuple[float, float]:
    """The winner's lead after 200 steps, without T28's minus sign and with it."""
    return _descend(-1), _descend(+1)


@recompute("X15")
def one_loss_on_both_slides() -> Measured:
    """Whether T26 and T28 print the same loss."""
    chosen, rejected = _reals([2.0]), _reals([1.0])
    t28 = bradley_terry_loss(chosen, rejected).item()
    t26 = torch.log(torch.sigmoid(chosen - rejected)).mean().item()
    return Measured(t26 == t28, f"rewards of 2 and 1 lose {t26:.5f} by T26, {t28:.5f} by T28")


@recompute("F14a")
def arguments_either_way_round() -> Measured:
    """Whether a reward that T28 calls r*(x, y) gives the same number as T27's r*(y, x)."""
    table = {("frogs", "moon"): 0.0, ("moon", "frogs"): 1.0}  # keys: (prompt, answer)
    same = all(table[x, y] == table[y, x] for x, y in table)
    words = "an answer about the moon to a prompt about frogs isn't worth what the reverse is"
    return Measured(same, words)


@recompute("F14b")
def braces_keep_the_winner() -> Measured:
    """Whether the set {x, y_w, y_l} still tells which answer won."""
    return Measured({"x", "first", "second"} != {"x", "second", "first"}, "a tuple (x, y_w, y_l) does")


@recompute("A57")
def bradley_terry_in_numbers() -> tuple[float, float, float]:
    """Probability and loss for rewards 2 and 1; the loss for equal rewards."""
    two, one = _reals([2.0]), _reals([1.0])
    probability = bradley_terry_probability(two, one).item()
    return probability, bradley_terry_loss(two, one).item(), bradley_terry_loss(one, one).item()


@recompute("T28a")
def only_differences_count() -> bool:
    """Whether p is the slide's fraction, both orders sum to 1, and adding c(x) to both rewards changes nothing."""
    generator = torch.Generator().manual_seed(0)
    first, second, shift = torch.randn(3, 100, generator=generator, dtype=torch.float64)
    p = bradley_terry_probability(first, second)
    others = (
        first.exp() / (first.exp() + second.exp()),
        1 - bradley_terry_probability(second, first),
        bradley_terry_probability(first + shift, second + shift),
    )
    return all(torch.allclose(p, other, rtol=0, atol=1e-12) for other in others)


@recompute("T28b")
def loss_is_binary_classification() -> bool:
    """Whether the loss is the cross-entropy of a classifier whose logit is the margin."""
    generator = torch.Generator().manual_seed(0)
    chosen, rejected = torch.randn(2, 100, generator=generator, dtype=torch.float64)
    classifier = binary_cross_entropy_with_logits(chosen - rejected, torch.ones_like(chosen))
    return math.isclose(bradley_terry_loss(chosen, rejected).item(), classifier.item(), rel_tol=1e-12)


@recompute("T28c")
def maximum_likelihood_finds_the_rewards() -> Measured:
    """Whether maximum likelihood from infinitely many comparisons finds r*, up to a constant."""
    true = _reals([1.5, 0.3, -0.4, -1.0])
    wins = bradley_terry_probability(*torch.broadcast_tensors(true[:, None], true[None]))
    found = climb(lambda r: (wins * logsigmoid(r[:, None] - r[None])).mean(), len(true))
    gap = (found - found.mean() - (true - true.mean())).abs().max().item()
    return Measured(gap < 1e-5, f"four centred rewards, the worst off by {gap:.6f}")


@recompute("F15a")
def one_mean_for_all_prompts() -> Measured:
    """Whether E over (x, y) of r = 0, as T28 prints it, makes the mean 0 for every x."""
    rewards, prompts = _two_prompts()
    shifted = rewards - rewards.mean()
    means = [shifted[prompts == prompt].mean().item() for prompt in (0, 1)]
    words = "; ".join(f"{mean:+.1f}" for mean in means)
    return Measured(all(abs(mean) < 1e-12 for mean in means), f"two prompts keep means of {words}")


@recompute("F15b")
def centring_lowers_the_variance() -> Measured:
    """Whether centring the rewards of each prompt lowers the variance over the data."""
    rewards, prompts = _two_prompts()
    centred = centre_rewards(rewards, prompts)
    before, after = (values.var(correction=0).item() for values in (rewards, centred))
    within = [values[prompts == 0].var(correction=0).item() for values in (rewards, centred)]
    words = f"from {before:.2f} to {after:.2f}; "
    words += f"within the first prompt {within[0]:.2f} before, {within[1]:.2f} after"
    return Measured(after < before, words)


def _descend(sign: int) -> float:
    """The lead of the winner after gradient descent on sign * (T28's loss)."""
    rewards = torch.zeros(2, dtype=torch.float64)
    for _ in range(STEPS):
        rewards.requires_grad_()
        loss = sign * bradley_terry_loss(rewards[:1], rewards[1:])
        rewards = (rewards - RATE * torch.autograd.grad(loss, rewards)[0]).detach()
    return (rewards[0] - rewards[1]).item()


def _two_prompts() -> tuple[Tensor, Tensor]:
    """Three rewards for each of two prompts, the second of which is easy."""
    return _reals([1.0, 2.0, 3.0, 6.0, 8.0, 10.0]), torch.tensor([0, 0, 0, 1, 1, 1])


def _reals(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
