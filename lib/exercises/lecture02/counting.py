"""The exercise counting.llama_parameters of notebook 02."""

from functools import partial

import torch

from lib.accounting import parameter_breakdown
from lib.exercises.engine.compare import EXACT
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.models import TransformerConfig

Number = float | int


def _draw(generator, low: int, high: int) -> int:
    return int(torch.randint(low, high, (1,), generator=generator))


# --- counting.llama_parameters ------------------------------------------------------------------------------
def llama_parameters(V: int, D: int, L: int, H: int, G: int, F: int) -> int:
    """The parameters of a Llama: V tokens, width D, L layers, H query heads, G KV heads, feed-forward width F (C28).

    >>> llama_parameters(128_000, 4096, 32, 32, 8, 14_336)
    8028164096
    """
    return _llama(V, D, L, H, G, F)


def _llama(V, D, L, H, G, F, *, K=None, matrices=3, embeddings=2, query_output=2, key_value=2, norms=2, last_norm=1):
    """The sum, with a factor for each part, so that a mistake changes one number."""
    K = K or D // H
    attention = query_output * D * H * K + key_value * D * G * K
    return embeddings * V * D + L * (attention + matrices * D * F + norms * D) + last_norm * D


def _by_breakdown(V, D, L, H, G, F):
    config = TransformerConfig(
        architecture="decoder", vocab_size=V, d_model=D, num_layers=L, num_heads=H, num_kv_heads=G, d_ff=F,
        max_positions=8192, norm="rmsnorm", bias=False, position="rotary", gated=True, activation="silu",
        tie_embeddings=False,
    )  # fmt: skip
    return sum(parameter_breakdown(config).values())


def _llamas(generator):
    K, G, group = 2 * _draw(generator, 4, 40), _draw(generator, 2, 5), _draw(generator, 2, 5)
    D = G * group * K
    return [
        case("Llama 3 8B", 128_000, 4096, 32, 32, 8, 14_336),
        case("Llama 3 70B", 128_000, 8192, 80, 64, 8, 28_672),
        case("Llama 3 405B", 128_000, 16_384, 126, 128, 8, 53_248),
        case("Llama 1 7B: as many key-value heads as query heads", 32_000, 4096, 32, 32, 32, 11_008),
        case("all query heads share one key-value head", 5, 24, 1, 4, 1, 7),
        case("a random Llama", 1000, D, _draw(generator, 2, 9), G * group, G, _draw(generator, 50, 400)),
    ]


LLAMA = Exercise(
    id="counting.llama_parameters",
    slides=("C28",),
    points=3,
    minutes=12,
    title="Count a Llama",
    reference=llama_parameters,
    cases=_llamas,
    accepts=(_by_breakdown,),
    tolerance=EXACT,
    withheld=(
        "lib.accounting.parameters.attention_parameters",
        "lib.accounting.parameters.feed_forward_parameters",
        "lib.accounting.parameters.non_embedding_parameters",
        "lib.adapters.freezing.count_trainable",
        "lib.models.count.count_parameters",
        "lib.accounting.parameters.norm_parameters",
    ),
    misconceptions=(
        Misconception(
            "grouped_heads_forgotten",
            lambda V, D, L, H, G, F: _llama(V, D, L, H, H, F),
            "Keys and values have as many heads as queries in your count. With grouped-query attention they "
            "are G heads of width D/H: their matrices are D × GD/H.",
        ),
        Misconception(
            "float",
            lambda V, D, L, H, G, F: float(_llama(V, D, L, H, G, F)),
            "The count is right, but it is a decimal number. Return an int: D / H is a float, D // H an int.",
        ),
        Misconception(
            "two_matrices",
            partial(_llama, matrices=2),
            "Your feed-forward layer has two matrices, as a GPT's. SwiGLU has three: gate and up (D × F "
            "each), and down (F × D).",
        ),
        Misconception(
            "tied_head",
            partial(_llama, embeddings=1),
            "You count V × D once. A Llama's output layer is not tied to the embedding: both have V × D.",
        ),
        Misconception(
            "key_or_value",
            partial(_llama, key_value=1),
            "One of the two matrices D × GD/H is missing: there is one for keys and one for values.",
        ),
        Misconception(
            "output_projection_forgotten",
            partial(_llama, query_output=1),
            "Attention ends with a matrix D × D that mixes the heads' outputs. It is not in your sum.",
        ),
        Misconception(
            "groups_for_heads",
            lambda V, D, L, H, G, F: _llama(V, D, L, H, 1, F, key_value=2 * (H // G)),
            "You took G for the size of a group, or D/G for the width of keys and values. There are G heads of keys, each "
            "D/H wide.",
        ),
        Misconception(
            "divided_first",
            lambda V, D, L, H, G, F: _llama(V, D, L, H, 1, F, key_value=2 * H * (G // H)),
            "G // H is 0 where heads are shared, and keys and values vanish. Work out D // H first.",
        ),
        Misconception(
            "one_of_two_shared",
            partial(_llama, query_output=3, key_value=1),
            "Keys and values are both shared: G heads each. In your count only one of the two is.",
        ),
        Misconception(
            "narrow_output",
            partial(_llama, query_output=1, key_value=3),
            "The output matrix reads all H heads' results: D × D. In your count it is as narrow as those of keys and values.",
        ),
        Misconception(
            "width_of_smollm2",
            partial(_llama, K=64),
            "You took 64 for the width of a head, as in SmolLM2. Here it is D/H.",
        ),
        Misconception(
            "last_norm_in_each_layer",
            lambda V, D, L, H, G, F: _llama(V, D, L, H, G, F, norms=3, last_norm=0),
            "The last norm stands once, after all layers. You count it in each.",
        ),
        Misconception(
            "no_norms",
            partial(_llama, norms=0, last_norm=0),
            "The norms are missing: each is a weight per feature, two in a layer and one at the end.",
        ),
        Misconception(
            "last_norm_forgotten",
            partial(_llama, last_norm=0),
            "You are off by exactly D: there is one more norm, after the last layer.",
        ),
        Misconception(
            "one_norm_a_layer",
            partial(_llama, norms=1),
            "A layer has two norms, one before attention and one before the feed-forward part.",
        ),
        Misconception(
            "norms_with_bias",
            partial(_llama, norms=4, last_norm=2),
            "Your norms have a weight and a bias. An RMSNorm has only the weight.",
        ),
    ),
    hints=(
        "A head is K = D/H wide. Attention: query and output D × HK, key and value D × GK. No biases.",
        "2VD + L·(2D² + 2D·GK + 3DF + 2D) + D.",
    ),
)

EXERCISES = (LLAMA,)
