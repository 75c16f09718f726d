"""Beam search: several beginnings are kept at each step, not the best one alone (Graves 2012).

Token for token as `transformers` does it (its default of `early_stopping`, False, is a heuristic; "never" is the exact
form). A beam that ends is ranked by log P(y | x) / |y|^length_penalty, where |y| counts its tokens, the end included.
"""

from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks
from lib.generation.penalties import penalise
from lib.generation.steps import begin
from lib.models import Decoder, EncoderDecoder
from lib.models.inputs import AttentionMask


class Beams(NamedTuple):
    """The N best texts of each row, best first; a row of -inf scores holds no text (there are fewer than N)."""

    ids: Int[Tensor, "B N S"]  # prompts (or start tokens) with their continuations, filled up after the end
    scores: Float[Tensor, "B N"]  # log-probability / length ** length_penalty
    lengths: Int[Tensor, "B N"]  # new tokens, the end-of-sequence token included


class _Settings(NamedTuple):
    num_beams: int
    prompt: int  # tokens that were given
    longest: int  # tokens in all
    length_penalty: float
    early_stopping: bool | str
    eos_id: int | None


@torch.no_grad()
def beam_search(
    model: Decoder | EncoderDecoder,
    input_ids: Int[Tensor, "B T"],
    max_new_tokens: int,
    *,
    num_beams: int,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    attention_mask: AttentionMask | None = None,
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int | None = None,
    eos_id: int | None = None,
    start_id: int | None = None,
) -> Beams:
    """The `num_beams` best texts that a beam of that width finds for each row.

    `early_stopping` says when a row is done: True when it has `num_beams` ended texts; False when the best open beam
    would, if it ended now, be worse than all of them; "never" when it could no longer become better at any length. What
    is not done after `max_new_tokens` is cut off, and ranked as if it had ended. With `num_beams` 1 the text is that of
    greedy decoding. A beam wider than the vocabulary is filled as the texts become more. Prompts are padded on the left,
    sources on either side, as in `generate`, whose other arguments these are.
    Raises ValueError as `generate` does, and for `num_beams` or `max_new_tokens` below 1, a `length_penalty` that is no
    finite number, or another `early_stopping`.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=8)
    >>> beam_search(Decoder(config), torch.tensor([[1, 2, 3]]), 4, num_beams=3).ids.shape
    torch.Size([1, 3, 7])
    """
    steps, begun = begin(model, input_ids, max_new_tokens, attention_mask, eos_id, start_id)
    settings = _settings(begun.shape[1], max_new_tokens, num_beams, length_penalty, early_stopping, eos_id)
    penalised = partial(penalise, repetition_penalty=repetition_penalty, no_repeat_ngram=no_repeat_ngram)
    penalised(torch.zeros(1, 1), begun.new_zeros(1, 0))
    pad_id = model.config.pad_id if model.config.pad_id is not None else (eos_id or 0)
    search = _Search(settings, begun, pad_id)
    ids = begun
    for end in range(settings.prompt, settings.longest):
        log_probs = steps(ids).float().log_softmax(dim=-1)  # (B, V) at first, then (B · N, V)
        log_probs = penalised(log_probs, ids, counts=steps.real(ids))
        rows = search.advance(log_probs, end)
        if search.done(end + 1):
            break
        steps.select(rows)
        ids = search.running[:, :, : end + 1].flatten(0, 1)
    return search.result()


class _Search:
    """The beams of every row: those that run, and the best of those that have ended."""

    def __init__(self, settings: _Settings, begun: Tensor, pad_id: int) -> None:
        self.settings = settings
        shape = (len(begun), settings.num_beams)
        self.running = begun.new_full((*shape, settings.longest), pad_id)
        self.running[:, :, : settings.prompt] = begun[:, None]
        self.ended = self.running.clone()
        self.running_scores = torch.full(shape, -torch.inf, device=begun.device)
        self.running_scores[:, 0] = 0.0  # all beams are the same prompt at first: one of them counts
        self.scores = torch.full(shape, -torch.inf, device=begun.device)
        self.lengths = begun.new_zeros(shape)
        self.closed = torch.zeros(len(begun), dtype=torch.bool, device=begun.device)  # rows in which nothing may change

    def advance(self, log_probs: Tensor, end: int) -> Int[Tensor, "R"]:
        """Take the best continuations; returns the row of the cache that each running beam continues."""
        batch, beams = self.running_scores.shape
        read = len(log_probs) // batch  # 1 at the first step, when only the prompts were read
        totals = log_probs.new_full((batch, beams, log_probs.shape[-1]), -torch.inf)
        totals[:, :read] = log_probs.view(batch, read, -1) + self.running_scores[:, :read, None]
        number = min(2 * beams, totals[0].numel())  # as many as can end, and as many to go on with
        best, places = totals.flatten(1).topk(number, dim=1)
        beam, token = places // totals.shape[-1], places % totals.shape[-1]
        texts = _rows(self.running, beam)
        texts[:, :, end] = token
        last = end + 1 == self.settings.longest
        ends = (token == self.settings.eos_id) if self.settings.eos_id is not None else torch.zeros_like(token).bool()
        ends |= torch.tensor(last)
        self._keep_ended(texts, best, ends, end)
        best = best.masked_fill(ends, -torch.inf)
        self.running_scores, kept = best.topk(beams, dim=1)
        self.running = _rows(texts, kept)
        first = torch.arange(batch, device=beam.device)[:, None] * read
        return (first + beam.gather(1, kept).clamp_max(read - 1)).flatten()

    def _keep_ended(self, texts: Tensor, best: Tensor, ends: Tensor, end: int) -> None:
        """Of the ended texts before and those that ended now keep the best; only the first N candidates may end."""
        length = end + 1 - self.settings.prompt
        beams = self.settings.num_beams
        may = ends & ~self.closed[:, None]
        may[:, beams:] = False
        if self.settings.early_stopping is True:
            may &= ~self._full()[:, None]
        new = (best / length**self.settings.length_penalty).masked_fill(~may, -torch.inf)
        self.scores, kept = torch.cat((self.scores, new), dim=1).topk(beams, dim=1)
        self.ended = _rows(torch.cat((self.ended, texts), dim=1), kept)
        lengths = torch.cat((self.lengths, torch.full_like(best, length, dtype=self.lengths.dtype)), dim=1)
        self.lengths = lengths.gather(1, kept)

    def _full(self) -> Tensor:
        return (self.scores > -torch.inf).all(dim=1)

    def done(self, length: int) -> bool:
        """Whether no row can become better; `length` counts prompt and new tokens."""
        settings = self.settings
        never = settings.early_stopping == "never" and settings.length_penalty > 0
        hoped = (settings.longest if never else length) - settings.prompt
        possible = self.running_scores[:, 0] / hoped**settings.length_penalty
        self.closed |= self._full() & (possible <= self.scores[:, -1])
        stopped = self.closed | (self.running_scores[:, 0] == -torch.inf)
        if settings.early_stopping is True:
            stopped |= self._full()
        return bool(stopped.all()) or length == settings.longest

    def result(self) -> Beams:
        longest = self.settings.prompt + int(self.lengths.max())
        lengths = self.lengths.masked_fill(self.scores == -torch.inf, 0)
        return Beams(self.ended[:, :, :longest], self.scores, lengths)


def _settings(
    prompt: int, max_new_tokens: int, num_beams: int, length_penalty: float, early: bool | str, eos_id: int | None
) -> _Settings:
    checks.whole("max_new_tokens", max_new_tokens)
    beams = checks.whole("num_beams", num_beams)
    checks.number("length_penalty", length_penalty)
    if early not in (True, False, "never"):
        raise ValueError(f"early_stopping must be True, False or 'never', got {early!r}")
    if beams == 1:
        early = True  # the first end that is best ends the search: greedy decoding
    return _Settings(beams, prompt, prompt + max_new_tokens, length_penalty, early, eos_id)


def _rows(tensor: Tensor, which: Tensor) -> Tensor:
    """tensor[b, which[b, i]] for every b and i."""
    index = which if tensor.dim() == 2 else which[..., None].expand(*which.shape, tensor.shape[-1])
    return tensor.gather(1, index)
