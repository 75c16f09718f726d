"""Losses: what training lowers. Pure functions of tensors; each docstring says what is averaged over what."""

from lib.objectives.advantages import gae, grpo_advantages, rewards_to_go, rloo, whiten
from lib.objectives.autoregressive import autoregressive_loss, sequence_log_prob, shift_labels
from lib.objectives.dpo import dpo_loss, dpo_metrics, implicit_reward
from lib.objectives.kl import entropy, kl_divergence, kl_estimate, kl_penalised_reward, token_rewards
from lib.objectives.log_probs import chunked_token_log_probs, response_log_prob, token_log_probs
from lib.objectives.masked import mlm_loss
from lib.objectives.policy import clip_fraction, ppo_clip_loss, reinforce_loss, value_loss
from lib.objectives.preference import (
    bradley_terry_loss,
    bradley_terry_probability,
    centre_rewards,
    pairs_from_ranking,
    plackett_luce_loss,
    simulate_preferences,
)
from lib.objectives.reduction import masked_reduce
from lib.objectives.regularised import (
    exact_policy_gradient,
    expected_reward,
    optimal_policy,
    regularised_objective,
)
from lib.objectives.sft import response_labels, sft_loss

__all__ = [
    "autoregressive_loss",
    "bradley_terry_loss",
    "bradley_terry_probability",
    "centre_rewards",
    "chunked_token_log_probs",
    "clip_fraction",
    "dpo_loss",
    "dpo_metrics",
    "entropy",
    "exact_policy_gradient",
    "expected_reward",
    "gae",
    "grpo_advantages",
    "implicit_reward",
    "kl_divergence",
    "kl_estimate",
    "kl_penalised_reward",
    "masked_reduce",
    "mlm_loss",
    "optimal_policy",
    "pairs_from_ranking",
    "plackett_luce_loss",
    "ppo_clip_loss",
    "regularised_objective",
    "reinforce_loss",
    "response_labels",
    "response_log_prob",
    "rewards_to_go",
    "rloo",
    "sequence_log_prob",
    "sft_loss",
    "shift_labels",
    "simulate_preferences",
    "token_log_probs",
    "token_rewards",
    "value_loss",
    "whiten",
]
