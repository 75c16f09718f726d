"""Parity with trl: its functions, and the losses of its trainers, on models of one layer and without training."""

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, RewardConfig, RewardTrainer
from trl.trainer.utils import entropy_from_logits
from trl.trainer.utils import selective_log_softmax as trl_selective_log_softmax

from lib.kernels import selective_log_softmax
from lib.objectives import (
    bradley_terry_loss,
    clip_fraction,
    dpo_loss,
    dpo_metrics,
    entropy,
    kl_estimate,
    masked_reduce,
    ppo_clip_loss,
    response_log_prob,
    token_log_probs,
)

WORDS = ["<pad>", "<eos>", "<unk>", "a", "b", "c", "d", "e"]
PAIRS = [  # prompt, chosen, rejected: of different lengths, so that there is padding on both sides
    ("a b", " c d e", " d"),
    ("c", " a", " b b c c"),
]


@pytest.fixture(scope="module")
def tokenizer():
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def config(**more):
    return LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        initializer_range=0.5,
        pad_token_id=0,
        eos_token_id=1,
        **more,
    )


def options(folder):
    return {
        "output_dir": str(folder),
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "per_device_train_batch_size": 2,
    }


def policies(number):
    torch.manual_seed(0)
    return [LlamaForCausalLM(config()).eval() for _ in range(number)]


def gradient(loss, model):
    return torch.autograd.grad(loss, model.model.embed_tokens.weight)[0]


def test_selective_log_softmax_and_its_gradient(generator):
    logits = (3 * torch.randn(2, 5, 40, generator=generator)).requires_grad_()
    ids = torch.randint(0, 40, (2, 5), generator=generator)
    ours, theirs = selective_log_softmax(logits, ids), trl_selective_log_softmax(logits, ids)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(x.square().sum(), logits)[0] for x in (ours, theirs)))


def test_entropy_and_its_gradient(generator):
    logits = (3 * torch.randn(2, 5, 40, generator=generator)).requires_grad_()
    ours, theirs = entropy(logits), entropy_from_logits(logits)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(x.square().sum(), logits)[0] for x in (ours, theirs)))


@pytest.mark.parametrize("margin", [False, True])
def test_the_loss_of_its_reward_trainer(tmp_path, tokenizer, margin):
    rows = [{"chosen": prompt + chosen, "rejected": prompt + rejected} for prompt, chosen, rejected in PAIRS]
    rows = [{**row, "margin": m} for row, m in zip(rows, (0.5, 2.0))] if margin else rows
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(config(num_labels=1, id2label={0: "reward"}))
    trainer = RewardTrainer(
        model, args=RewardConfig(**options(tmp_path)), train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    batch = next(iter(trainer.get_train_dataloader()))
    assert ("margin" in batch) == margin
    theirs = trainer.compute_loss(model, dict(batch))
    rewards = model(batch["input_ids"], batch["attention_mask"]).logits.squeeze(-1)
    ours = bradley_terry_loss(*rewards.chunk(2), margin=batch.get("margin"))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, model), gradient(theirs, model))


@pytest.mark.parametrize(("kind", "smoothing"), [("sigmoid", 0.0), ("aot", 0.2), ("ipo", 0.0)])
def test_the_loss_of_its_dpo_trainer(tmp_path, tokenizer, kind, smoothing):
    policy, reference = policies(2)
    rows = [dict(zip(("prompt", "chosen", "rejected"), pair)) for pair in PAIRS]
    rows = (
        rows[:1] if kind == "aot" else rows
    )  # it sorts what it compares; for one pair it is DPO, with smoothed labels
    args = DPOConfig(**options(tmp_path), beta=0.3, loss_type=[kind], label_smoothing=smoothing)
    trainer = DPOTrainer(
        policy, ref_model=reference, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    batch = next(iter(trainer.get_train_dataloader()))
    theirs = trainer.compute_loss(policy, dict(batch))
    ids, answers = batch["input_ids"], batch["completion_mask"]
    sides = []
    for model in (policy, reference):
        log_probs = response_log_prob(token_log_probs(model(ids, batch["attention_mask"]).logits, ids), answers)
        if kind == "ipo":  # trl takes the mean over an answer's tokens here, its paper the sum
            log_probs = log_probs / answers.sum(dim=1)
        sides += log_probs.chunk(2)
    ours = dpo_loss(*sides, beta=0.3, label_smoothing=smoothing, kind="ipo" if kind == "ipo" else "sigmoid")
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, policy), gradient(theirs, policy))
    if kind != "ipo":  # whose rewards are not divided by lengths, as its loss is
        logged = trainer._metrics["train" if policy.training else "eval"]
        measured = dpo_metrics(*sides, beta=0.3)
        assert measured == {name: pytest.approx(logged[name][0], rel=1e-4) for name in measured}


@pytest.mark.parametrize(("kind", "reduction"), [("grpo", "sequence_mean"), ("bnpo", "token_mean")])
@pytest.mark.parametrize(("beta", "clip"), [(0.0, {}), (0.2, {}), (0.0, {"epsilon_high": 0.28, "delta": 1.5})])
def test_the_loss_of_its_grpo_trainer(tmp_path, tokenizer, generator, kind, reduction, beta, clip):
    """PPO's clip, and with a β the k3 estimate of the KL, under two reductions. Its delta is our dual clip."""
    (policy,) = policies(1)
    args = GRPOConfig(
        **options(tmp_path),
        beta=0.0,
        epsilon=0.2,
        **clip,
        loss_type=kind,
        num_generations=2,
        use_bias_correction_kl=False,
    )  # which multiplies k3 by the ratio
    trainer = GRPOTrainer(
        policy,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=args,
        train_dataset=Dataset.from_list([{"prompt": "a"}] * 2),
        processing_class=tokenizer,
    )
    trainer.beta = beta  # set afterwards: it would ask for a reference model, whose log-probabilities are given below
    policy.eval()
    prompts, answers = torch.tensor([[3, 4], [0, 4]]), torch.tensor([[3, 4, 6, 1], [5, 1, 0, 0]])
    ids, mask = torch.cat([prompts, answers], dim=1), answers != 0
    log_probs = token_log_probs(policy(ids, (ids != 0).long()).logits, ids)[:, 2:]
    old, reference = log_probs.detach() + 0.3 * torch.randn(2, 2, 4, generator=generator)
    gain = torch.tensor([1.5, -2.0])
    theirs = trainer.compute_loss(
        policy,
        {
            "prompt_ids": prompts,
            "prompt_mask": (prompts != 0).long(),
            "completion_ids": answers,
            "completion_mask": mask.long(),
            "advantages": gain,
            "old_per_token_logps": old,
            "ref_per_token_logps": reference,
        },
    )
    assert 0 < clip_fraction(log_probs, old, mask) < 1
    ours = ppo_clip_loss(
        log_probs,
        old,
        gain[:, None].expand(2, 4),
        mask,
        epsilon=0.2,
        reduction=reduction,
        epsilon_high=clip.get("epsilon_high"),
        dual_clip=clip.get("delta"),
    )
    if beta:
        ours = ours + beta * masked_reduce(kl_estimate(log_probs, reference, "k3"), mask, reduction)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, policy), gradient(theirs, policy))
