"""Claims of the slides of 10_alignment_and_sft: demonstrations, which tokens the loss counts, a connecting wall."""

import torch

from lib.kernels import cross_entropy
from lib.models import Decoder, TransformerConfig
from lib.objectives import sequence_log_prob, sft_loss
from lib.slides.registry import Measured, recompute
from lib.slides.tables import example
from lib.worlds.connecting_wall import WallScore, count_partitions, parse_groups, score_wall


@recompute("C32a")
def base_model_lists_prompts() -> Measured:
    """Whether GPT-3 only lists prompts of the same kind, while InstructGPT answers the question."""
    record = example("E8")
    lines, topic = record["continuation"], "moon"
    prompts = sum(line.startswith("Explain") for line in lines)
    answers = sum(topic in line for line in lines)
    holds = prompts == len(lines) and not answers and topic in record["answer"]
    words = f"{len(lines)} lines, {prompts} begin with Explain, {answers} speak of the {topic}"
    return Measured(holds, words)


@recompute("C33a")
def sft_counts_the_response_alone() -> bool:
    """Whether the SFT loss is -log P(response | instruction) per token, and ignores predictions in the prompt."""
    generator = torch.Generator().manual_seed(0)
    config = TransformerConfig(
        architecture="decoder",
        vocab_size=9,
        d_model=16,
        num_layers=1,
        num_heads=2,
        d_ff=16,
        max_positions=8,
        init_std=0.5,
    )
    model = Decoder(config, generator=generator).double().eval()
    ids, prompt = torch.tensor([[1, 2, 3, 4, 5, 6]]), 3
    response = torch.arange(6)[None] >= prompt
    with torch.no_grad():
        logits = model(ids)
        conditional = sequence_log_prob(logits, ids) - sequence_log_prob(logits[:, :prompt], ids[:, :prompt])
        loss = sft_loss(logits, ids, response)
        logits[:, : prompt - 1] = torch.randn(1, prompt - 1, 9, generator=generator)  # other predictions
        return torch.allclose(loss, -conditional / 3) and bool(loss == sft_loss(logits, ids, response))


@recompute("T18a")
def loss_sees_no_difference_between_errors() -> Measured:
    """Whether the loss is the same whichever wrong word is likely, with the right word at 0.15."""
    (_, right), (_, synonym) = example("E12")["alternatives"]
    likely = torch.tensor([0.8, 0.15, 0.05], dtype=torch.float64).log()  # error, word of the text, another
    loss = cross_entropy(likely[None], torch.tensor([1]))
    swapped = cross_entropy(likely[[2, 1, 0]][None], torch.tensor([1]))
    words = f"{loss.item():.4f} nats for {right} as for {synonym} at p = 0.15, whichever word took the rest"
    return Measured(bool(torch.isclose(loss, swapped, rtol=1e-12)), words)


@recompute("A36a")
def ways_to_solve_the_wall() -> tuple[int, int]:
    """Different words on the wall, and the number of ways to form four groups of four."""
    words = set(example("E9")["texts"])
    return len(words), count_partitions(len(words), 4)


@recompute("A36b")
def groups_that_are_connected() -> Measured:
    """How many of the chat model's groups are groups of the solution."""
    groups, score = _marked("Llama-2-7B-chat")
    solution = example("E9")["solution"].values()
    largest = max(len(set(group) & set(row)) for group in groups for row in solution)
    return Measured(score.correct, f"at most {largest} words of any of its groups belong together")


@recompute("A36c")
def chat_model_chops_the_list() -> bool:
    """Whether the chat model's groups are the words in the order of the prompt, four by four."""
    words = example("E9")["texts"]
    return _marked("Llama-2-7B-chat")[0] == [words[start : start + 4] for start in range(0, 16, 4)]


@recompute("A36d")
def base_model_on_the_wall() -> Measured:
    """Sizes of the base model's groups; how many words it invented; how many words of the wall are missing."""
    _, score = _marked("Llama-2-7B")
    words = f"invented: {', '.join(score.invented)}; missing: {', '.join(score.missing)}"
    return Measured((*score.sizes, len(score.invented), len(score.missing)), words)


def _marked(model: str) -> tuple[list[list[str]], WallScore]:
    wall = example("E9")
    groups = parse_groups(wall["answers"][model], wall["texts"])
    return groups, score_wall(groups, wall["texts"], list(wall["solution"].values()))
