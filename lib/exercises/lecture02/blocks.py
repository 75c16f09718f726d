"""An exercise of notebook 02: one block of an encoder–decoder's decoder, built from its parts."""

from functools import partial

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import gelu, silu

from lib.exercises.engine.exercise import Exercise, Misconception
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture02 import block_answers as made

Weights = dict[str, Tensor]
ALL = ("self", "cross", "feed")


# --- blocks.decoder_block ---------------------------------------------------------------------------------------------
def decoder_block(
    x: Float[Tensor, "B T D"], memory: Float[Tensor, "B S D"], w: Weights, H: int
) -> Float[Tensor, "B T D"]:
    """Causal self-attention, cross-attention to `memory` and feed-forward, each added to the stream (C42; W21)."""
    return made.block(x, memory, w, H)


def _mistake(name, hint, **switches):
    return Misconception(name, partial(made.block, **switches), hint)


def _without_transpose(names, hint):
    def answer(x, memory, w, H):
        return made.block(x, memory, {k: W.T if k.endswith(names) else W for k, W in w.items()}, H)

    return Misconception(f"{names[-1]}_not_transposed", answer, hint)


_LAYERS = {"self": "self-attention", "cross": "cross-attention", "feed": "the feed-forward layer"}


DECODER_BLOCK = Exercise(
    id="blocks.decoder_block",
    slides=("C42", "W21"),
    points=6,
    minutes=30,
    title="A block that reads another text",
    reference=decoder_block,
    cases=made.cases,
    gradient=("x", "memory"),
    accepts=(made.with_torch, made.a_head_at_a_time),
    misconceptions=(
        _mistake(
            "residual_forgotten",
            "What a sublayer computes replaces the stream. It should be added to it: x = x + ….",
            no_sum=ALL,
        ),
        *(
            _mistake(
                f"{kind}_residual_forgotten",
                f"The result of {layer} replaces the stream. It should be added to it, as those of the other two are: "
                "x = x + ….",
                no_sum=(kind,),
            )
            for kind, layer in _LAYERS.items()
        ),
        _mistake(
            "queries_of_the_first_norm",
            "Your cross-attention makes its queries of what self-attention has read. Normalise the stream again, after "
            "self-attention was added, with `cross_norm`.",
            old=("cross",),
            weights_of={"cross": "self"},
        ),
        _mistake(
            "attentions_side_by_side",
            "Your cross-attention reads the block's input. It reads the stream after self-attention was added to it.",
            old=("cross",),
        ),
        _mistake(
            "queries_of_the_bare_stream",
            "Your cross-attention makes its queries of the bare stream. The queries come from norm(x), with `cross_norm`; "
            "`memory` alone is read as it is.",
            bare=("cross",),
        ),
        _mistake(
            "cross_attention_with_self_norm",
            "Before cross-attention you use the weight of another norm: `self_norm`. Its own is `cross_norm`.",
            weights_of={"cross": "self"},
        ),
        *(
            _mistake(
                f"feed_forward_with_{other}_norm",
                f"Before the feed-forward layer you use the weight of another norm: `{other}_norm`. Its own is `feed_norm`.",
                weights_of={"feed": other},
            )
            for other in ("self", "cross")
        ),
        _mistake(
            "keys_of_the_bare_stream",
            "In self-attention your keys and values come from the stream as it is, and only the queries from norm(x). All "
            "three come from norm(x).",
            raw_source=True,
        ),
        _mistake(
            "post_norm",
            "You normalise after the sum, as BERT does. Here the norm comes before the sublayer: x + f(norm(x)).",
            join="post",
        ),
        _mistake(
            "stream_normalised",
            "You add to norm(x), so the stream itself is normalised. The sublayer reads norm(x), and its result is added to x.",
            normed=ALL,
        ),
        *(
            _mistake(
                f"{kind}_stream_normalised",
                f"At {layer} you add to norm(x), so the stream itself is normalised there. The result is added to x.",
                normed=(kind,),
            )
            for kind, layer in _LAYERS.items()
        ),
        _mistake("no_norm", "Your sublayers read the bare stream. Each reads norm(x), with its own weight.", bare=ALL),
        _mistake(
            "layer_norm",
            "You take the mean away, as LayerNorm does. `rms_norm` only divides by the root mean square.",
            norm=made.layer_norm,
        ),
        _mistake(
            "one_size_for_all",
            "Your norm takes one mean over all vectors. Each vector has a size of its own: mean(dim=-1, keepdim=True).",
            norm=made.over_everything,
        ),
        _mistake(
            "other_eps",
            "With a stream of small numbers your norm is off: PyTorch's `rms_norm` takes a smaller ε unless you say eps=1e-5.",
            norm=made.torchs_eps,
        ),
        _mistake(
            "no_eps",
            "Your norm has no ε: it divides a vector of zeros by 0, and is off for a stream of small numbers.",
            norm=partial(made.rms, eps=0.0),
        ),
        _mistake("eps_outside", "ε belongs under the root, to the mean of the squares.", norm=made.eps_outside),
        _mistake(
            "parallel",
            "All your sublayers read the block's input. Each reads the stream that the one before has left.",
            old=ALL,
        ),
        _mistake(
            "not_causal",
            "In self-attention a target token sees the tokens after it. Hide them: a score above the diagonal is −∞.",
            causal=False,
        ),
        _mistake(
            "past_hidden",
            "In self-attention a token sees what comes after it, and not what comes before. Hide what lies above the diagonal.",
            below=True,
        ),
        _mistake(
            "own_token_hidden",
            "In self-attention a token does not see itself, and the first one sees nothing: triu(1) leaves the diagonal.",
            own=True,
        ),
        _mistake(
            "masked_with_zero",
            "Your hidden scores are 0, and e⁰ = 1: they still have weight. A hidden score is −∞.",
            hidden=0.0,
        ),
        _mistake(
            "masked_after_the_softmax",
            "You take the hidden weights away after the softmax, so those that are left do not add up to 1. Mask the scores.",
            late=True,
        ),
        _mistake(
            "finite_mask",
            "−100 does not hide a score where others lie below it, as here. −∞ always does.",
            hidden=-100.0,
        ),
        _mistake(
            "softmax_overflows",
            "exp overflows for large scores, and ∞/∞ is nan. `softmax` takes the maximum away first.",
            softmax=made.bare_softmax,
        ),
        _mistake(
            "positions",
            "You turn queries and keys, as in SmolLM2. This block has no positions.",
            turn=made.turned,
        ),
        _mistake(
            "cross_attention_causal",
            "You hide part of the source. The whole source is known: cross-attention has no causal mask.",
            cross_causal=True,
        ),
        _mistake(
            "memory_unread",
            "Your cross-attention takes its keys and values from the target. They are made of `memory`, as it is.",
            blind=True,
        ),
        _mistake(
            "memory_normalised",
            "You normalise `memory`. It comes from the encoder's last norm and is read as it is; the queries alone are "
            "made of norm(x).",
            memory_norm=True,
        ),
        _mistake(
            "cross_attention_first",
            "The order is: self-attention, cross-attention, feed-forward. You read the source first.",
            order=("cross", "self", "feed"),
        ),
        _mistake(
            "feed_forward_before_cross_attention",
            "The order is: self-attention, cross-attention, feed-forward. The feed-forward layer comes last.",
            order=("self", "feed", "cross"),
        ),
        _mistake(
            "scaled_by_width",
            "You divide the scores by √D. A head is D/H wide, and the length of its vectors is what counts: √(D/H).",
            scale=lambda K, D: D**-0.5,
        ),
        _mistake("not_scaled", "The scores are not divided by √(D/H).", scale=lambda K, D: 1.0),
        _mistake(
            "softmax_over_queries",
            "Your softmax runs over the queries. Each query spreads its attention over the keys: dim=-1.",
            axis=-2,
        ),
        _mistake(
            "heads_interleaved",
            "You cut the features as if heads alternated. Head 1 has the first D/H features, head 2 the next: "
            "unflatten(-1, (H, D/H)).",
            split="interleaved",
            merge="interleaved",
        ),
        _mistake(
            "heads_cut_wrongly",
            "You cut the features as if heads alternated, and put them together as if they did not. Head 1 has the first D/H "
            "features, head 2 the next: unflatten(-1, (H, D/H)).",
            split="interleaved",
            merge="moved",
        ),
        _mistake(
            "heads_not_moved_back",
            "Before the heads are put side by side, their axis has to go back behind the tokens: transpose(1, 2), then flatten.",
            merge="reshaped",
        ),
        _mistake(
            "output_matrix_forgotten",
            "The heads' results go into the stream as they are. The output matrix, which mixes the heads, is missing.",
            project=False,
        ),
        _without_transpose(
            ("query", "key", "value", "output"),
            "You multiply by the attention matrices as they are. They are used as `states @ W.T`: a row for each new feature.",
        ),
        _without_transpose(("self_output", "cross_output"), "Your output matrices are not transposed: `mixed @ W.T`."),
        _mistake(
            "gelu",
            "Your feed-forward layer uses GELU, as a GPT's. This one has ReLU, max(0, ·).",
            activation=gelu,
        ),
        _mistake(
            "silu",
            "Your feed-forward layer uses SiLU, as a Llama's gate. This one has ReLU, max(0, ·), and no gate.",
            activation=silu,
        ),
        _mistake(
            "activation_forgotten", "Between `up` and `down` there is a ReLU. It is missing.", activation=lambda x: x
        ),
        Misconception(
            "one_head",
            lambda x, memory, w, H: made.block(x, memory, w, 1),
            "You have one head of width D. There are H.",
        ),
        Misconception(
            "heads_and_width_exchanged",
            lambda x, memory, w, H: made.block(x, memory, w, x.shape[-1] // H),
            "You have D/H heads of width H. There are H heads, D/H wide: `split_heads` takes the width.",
        ),
        Misconception(
            "added_in_place",
            made.added_in_place,
            "`x += …` changes the tensor that was handed in, and training cannot use it. Write x = x + ….",
        ),
        Misconception(
            "memory_detached",
            lambda x, memory, w, H: made.block(x, memory.detach(), w, H),
            "No gradient comes back to `memory`, so the encoder would learn nothing. Read it without `.detach()`.",
        ),
        Misconception("detached", lambda x, memory, w, H: made.block(x, memory, w, H).detach(), DETACHED),
    ),
    hints=(
        "Write one function for both attentions: its arguments are the states of the queries, those of keys and values, "
        "the name of its weights, and whether to hide what comes later.",
        "Three lines of the form x = x + f(norm(x)). In the first, keys and values come from the same norm(x) as the queries; "
        "in the second from memory.",
        "Heads: (B, T, D) → unflatten(-1, (H, -1)) → transpose(1, 2) is (B, H, T, D/H). Back: transpose(1, 2), flatten(2).",
    ),
)

EXERCISES = (DECODER_BLOCK,)
