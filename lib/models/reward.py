"""One number instead of a word: the reward of an answer (slide T26), the value of a beginning (PPO)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks
from lib.models.decoder import Decoder
from lib.models.heads import OnBackbone, last_real_token, pick
from lib.models.inputs import AttentionMask


class RewardModel(OnBackbone):
    """r(x, y), one number for a prompt x with its answer y (slide T26; Ouyang et al. 2022, section 3.5).

    A language model whose output layer is replaced by a scalar head on the last real token; only that head is
    new. Raises TypeError if `decoder` is no `Decoder`.

    >>> from lib.models import preset
    >>> with torch.device("meta"):
    ...     model = RewardModel(Decoder(preset("gpt-2")))
    >>> model(torch.ones(3, 5, dtype=torch.long, device="meta")).shape
    torch.Size([3])
    """

    def __init__(self, decoder: Decoder, *, generator: torch.Generator | None = None) -> None:
        checks.instance("decoder", decoder, Decoder)
        super().__init__(decoder, 1, bias=False, generator=generator)

    def forward(
        self, input_ids: Int[Tensor, "B T"], attention_mask: AttentionMask | None = None
    ) -> Float[Tensor, " B"]:
        """The reward of each sequence, in no unit: only differences between answers to one prompt mean
        something."""
        hidden = self.hidden(input_ids, attention_mask)
        return self.read_out(pick(hidden, last_real_token(input_ids, attention_mask)))[:, 0]


class ValueModel(OnBackbone):
    """V(x, y_<t), the reward still expected before token t is chosen (Schulman et al. 2017; Ouyang et al. 2022).

    A language model with a scalar head on every token. Raises TypeError if `decoder` is no `Decoder`.

    >>> from lib.models import preset
    >>> with torch.device("meta"):
    ...     model = ValueModel(Decoder(preset("gpt-2")))
    >>> model(torch.ones(3, 5, dtype=torch.long, device="meta")).shape
    torch.Size([3, 5])
    """

    def __init__(self, decoder: Decoder, *, generator: torch.Generator | None = None) -> None:
        checks.instance("decoder", decoder, Decoder)
        super().__init__(decoder, 1, generator=generator)

    def forward(
        self, input_ids: Int[Tensor, "B T"], attention_mask: AttentionMask | None = None
    ) -> Float[Tensor, "B T"]:
        """The value before each token, aligned with `input_ids` as log-probabilities are: entry t has read the tokens
        before t, and entry 0, which has read none, is 0."""
        values = self.read_out(self.hidden(input_ids, attention_mask))[..., 0]
        return torch.cat((torch.zeros_like(values[:, :1]), values[:, :-1]), dim=1)
