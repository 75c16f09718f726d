"""Softmax, attention and the chunked loss as Triton kernels, for those with a GPU; the course works without them.

On CUDA tensors `softmax`, `attention_tiled` and `chunked_cross_entropy` choose these functions themselves where Triton
is installed (`pip install 'llm-course[gpu]'`) and works; COURSE_TRITON=0 turns them off. On the CPU they run only
in Triton's interpreter, slowly, to be tested or stepped through: TRITON_INTERPRET=1, set before Python starts. They take
float32, bfloat16 and float16, sum in float32, and agree with the functions whose names they bear to rounding. Products of
float32 tiles use TF32 only if `torch.set_float32_matmul_precision` allows it. Dao 2023 (FlashAttention-2); Wijmans et al. 2024.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import Function

from lib.kernels.attention import ScoreMask, check_attention, default_scale, in_dtype_of
from lib.kernels.loss import Reduction, chunked_loss, plain_row_losses
from lib.kernels.second_order import differentiable_gradients
from lib.kernels.softmax import check_logits
from lib.kernels.tiled import plain_attention
from lib.kernels.triton_launch import (
    TWINS,
    blocks,
    check_device,
    check_tensors,
    launch,
    power_of_two,
    products,
    unfit_for_attention,
)

ROW_BLOCK = 4096
"""Entries of a row that softmax holds at a time."""
TILE_SIZE = 8192
"""Numbers in a tile of attention's queries, keys or values: with more, compiled for compute capabilities 8.0 and 9.0, the
programs spill registers by the kilobyte or ask for more than 100 KB of shared memory."""
LOSS_BLOCKS = {"BLOCK_N": 64, "BLOCK_V": 64, "BLOCK_D": 32}


def triton_softmax(z: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*shape"]:
    """Return `softmax(z, dim)`, each row read online (the largest entry and the sum in one pass) by one program.

    Slide W13. Half precision is summed in float32. Differentiable twice. A slice of nothing but -inf gives NaN, as in `softmax`.
    Raises as `softmax`; TypeError if `z` has a type other than float32, bfloat16, float16; ValueError if it is not on a GPU,
    outside the interpreter; ImportError where Triton is not installed.

    >>> triton_softmax(torch.zeros(1, 2, device="cuda"))  # doctest: +SKIP
    tensor([[0.5000, 0.5000]], device='cuda:0')
    """
    check_logits(z, dim)
    check_tensors(z=z)
    return _Softmax.apply(z.movedim(dim, -1)).movedim(-1, dim)


def triton_attention(
    q: Float[Tensor, "B H T K"],
    k: Float[Tensor, "B G S K"],
    v: Float[Tensor, "B G S E"],
    *,
    mask: ScoreMask | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "B H T E"]:
    """Return `attention_tiled(q, k, v, ...)`: online softmax over tiles, backward from the saved log-sum-exp.

    softmax(q k^T * scale + mask) v, slides N34 and C20, in memory that grows with T. A query that may attend to nothing gets
    zeros. Gradients reach q, k and v, and not a float mask; second derivatives are right but hold the T x S weights. Heads are at
    most 256 wide.
    Raises as `attention_weights` and `triton_softmax`, and ValueError for a wider head or a mask that requires a gradient.

    >>> q = torch.zeros(1, 1, 1, 16, device="cuda")  # doctest: +SKIP
    >>> triton_attention(q, q, q + 1).mean()  # doctest: +SKIP
    tensor(1., device='cuda:0')
    """
    check_attention(q, k, v, mask, causal)
    check_tensors(q=q, k=k, v=v)
    if refused := unfit_for_attention(q, v, mask):
        raise ValueError(refused)
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()  # here, so that backward knows where they come from
    return _Attention.apply(q, k, v, in_dtype_of(q, mask), causal, default_scale(q, scale))


def triton_cross_entropy(
    hidden: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    targets: Int[Tensor, "N"],
    *,
    bias: Float[Tensor, "V"] | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    chunk_size: int = 8192,
) -> Float[Tensor, "..."]:
    """Return `chunked_cross_entropy(hidden, weight, targets, ...)` in nats; forward, logits never leave the chip.

    loss = logsumexp(z) - z_target over chunks of the vocabulary, slide W13. Backward holds N x `chunk_size` numbers.
    Gradients reach `hidden`, `weight` and `bias`; second derivatives are right but hold all logits.
    Raises as `chunked_cross_entropy` and `triton_softmax`.

    >>> hidden, targets = torch.zeros(1, 16, device="cuda"), torch.tensor([3], device="cuda")  # doctest: +SKIP
    >>> triton_cross_entropy(hidden, torch.zeros(4, 16, device="cuda"), targets)  # log 4  # doctest: +SKIP
    tensor(1.3863, device='cuda:0')
    """
    return chunked_loss(row_losses, hidden, weight, targets, bias, ignore_index, reduction, chunk_size)


def row_losses(hidden, weight, bias, targets, chunk_size) -> Float[Tensor, "N"]:
    """The loss of each row, after a look at where the tensors are."""
    check_tensors(hidden=hidden, weight=weight)
    check_device(hidden.device, targets=targets, **({} if bias is None else {"bias": bias}))
    bias = None if bias is None else bias.contiguous()
    return _CrossEntropy.apply(hidden.contiguous(), weight.contiguous(), bias, targets.contiguous(), chunk_size)


TWINS.update(softmax=triton_softmax, attention_tiled=triton_attention, row_losses=row_losses)


class _Softmax(Function):
    @staticmethod
    def forward(ctx, z):
        z = z.contiguous()
        out = torch.empty_like(z)
        launch("softmax_forward", z.numel() // z.shape[-1], z, out, z.shape[-1], BLOCK=_row_block(z))
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, grad):
        (p,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants second derivatives: in operations that have them
            return p * (grad - (p * grad).sum(-1, keepdim=True))
        grad, out = grad.contiguous(), torch.empty_like(p)
        launch("softmax_backward", p.numel() // p.shape[-1], p, grad, out, p.shape[-1], BLOCK=_row_block(p))
        return out


class _Attention(Function):
    @staticmethod
    def forward(ctx, q, k, v, mask, causal, scale):
        (B, H, T, _), E = q.shape, v.shape[3]
        out = q.new_empty(B, H, T, E)
        logsumexp = torch.empty(B, H, T, dtype=torch.float32, device=q.device)
        sizes, options = _attention_launch(q, k, v, mask, causal, scale)
        programs = B * H * blocks(T, options["BLOCK_T"])
        launch("attention_forward", programs, q, k, v, _pointer(mask, q), out, logsumexp, *sizes, **options)
        ctx.save_for_backward(q, k, v, mask, out, logsumexp)
        ctx.settings = causal, scale
        return out

    @staticmethod
    def backward(ctx, grad):
        q, k, v, mask, out, logsumexp = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants second derivatives: in operations that have them
            return *differentiable_gradients(plain_attention(*ctx.settings), (q, k, v, mask), grad), None, None
        (B, H, T, _), (G, S) = q.shape, k.shape[1:3]
        grad = grad.contiguous()
        delta = (grad.float() * out.float()).sum(dim=-1)  # sum_j p_ij dp_ij, without the p_ij
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        sizes, options = _attention_launch(q, k, v, mask, *ctx.settings)
        given = q, k, v, _pointer(mask, q), grad, logsumexp, delta
        launch("attention_grad_q", B * H * blocks(T, options["BLOCK_T"]), *given, grad_q, *sizes, **options)
        launch("attention_grad_kv", B * G * blocks(S, options["BLOCK_S"]), *given, grad_k, grad_v, *sizes, **options)
        return grad_q, grad_k, grad_v, None, None, None


class _CrossEntropy(Function):
    """Losses of rows: forward never holds logits; backward holds d loss / d logits of one chunk."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, chunk_size):
        (N, D), V = hidden.shape, weight.shape[0]
        chunks = blocks(V, chunk_size)
        partial = torch.empty(chunks, N, dtype=torch.float32, device=hidden.device)
        wanted = torch.empty(N, dtype=torch.float32, device=hidden.device)
        programs = chunks * blocks(N, LOSS_BLOCKS["BLOCK_N"])
        pointers = hidden, weight, hidden if bias is None else bias, targets, partial, wanted
        launch("loss_forward", programs, *pointers, N, V, D, chunk_size, **_loss_options(hidden, bias))
        denominator = partial.logsumexp(dim=0)
        ctx.save_for_backward(hidden, weight, bias, targets, denominator)
        ctx.chunk_size = chunk_size
        return denominator - wanted

    @staticmethod
    def backward(ctx, grad):
        hidden, weight, bias, targets, denominator = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *differentiable_gradients(plain_row_losses(targets), (hidden, weight, bias), grad), None, None
        need_hidden, need_weight, need_bias = ctx.needs_input_grad[:3]
        # float16 would lose gradients below 6e-8: a probability of 1e-5 over a thousand rows
        dtype = torch.float32 if hidden.dtype == torch.float16 else hidden.dtype
        rows = hidden.to(dtype)
        grad_hidden = torch.zeros_like(hidden, dtype=torch.float32) if need_hidden else None
        grad_weight = torch.empty_like(weight) if need_weight else None
        grad_bias = torch.empty_like(bias) if need_bias else None
        for start in range(0, weight.shape[0], ctx.chunk_size):
            part = slice(start, start + ctx.chunk_size)
            p = _grad_logits(hidden, weight[part], None if bias is None else bias[part], targets - start, denominator,
                             grad.contiguous(), dtype)  # fmt: skip
            if need_hidden:
                grad_hidden += p @ weight[part].to(dtype)
            if need_weight:
                grad_weight[part] = p.T @ rows
            if need_bias:
                grad_bias[part] = p.sum(0, dtype=torch.float32)
        return None if grad_hidden is None else grad_hidden.to(hidden.dtype), grad_weight, grad_bias, None, None


def _grad_logits(hidden, weight, bias, targets, denominator, grad, dtype) -> Float[Tensor, "N chunk"]:
    """grad (softmax - onehot) for one chunk of the vocabulary."""
    (N, D), V = hidden.shape, weight.shape[0]
    out = torch.empty(N, V, dtype=dtype, device=hidden.device)
    programs = blocks(N, LOSS_BLOCKS["BLOCK_N"]) * blocks(V, LOSS_BLOCKS["BLOCK_V"])
    pointers = hidden, weight, hidden if bias is None else bias, targets, denominator, grad, out
    launch("loss_backward", programs, *pointers, N, V, D, **_loss_options(hidden, bias))
    return out


def _attention_launch(q, k, v, mask, causal, scale) -> tuple[tuple, dict]:
    """What the three attention programs take alike: the sizes, and what is compiled in."""
    (B, H, T, K), (G, S), E = q.shape, k.shape[1:3], v.shape[3]
    strides = (0, 0, 0, 0) if mask is None else mask.expand(B, H, T, S).stride()
    kind = "none" if mask is None else "boolean" if mask.dtype == torch.bool else "float"
    wide, out_wide = power_of_two(K), power_of_two(E)
    exact = q.dtype == torch.float32  # its products take many more registers
    crowding = max(wide, out_wide) * (4 if exact else 1)
    block = min(32 if exact else 64, max(16, TILE_SIZE // crowding))
    options = {
        "CAUSAL": causal, "MASK": kind, "BLOCK_T": block, "BLOCK_S": block, "BLOCK_K": wide, "BLOCK_E": out_wide,
        "num_stages": 2 if crowding <= 64 else 1, **products(q),
    }  # fmt: skip
    return (float(scale), H, G, T, S, K, E, *strides), options


def _loss_options(hidden, bias) -> dict:
    return {"HAS_BIAS": bias is not None, **LOSS_BLOCKS, **products(hidden)}


def _pointer(mask: Tensor | None, q: Tensor) -> Tensor:
    """Something to point at where there is no mask; booleans as bytes."""
    if mask is None:
        return q
    return mask.view(torch.uint8) if mask.dtype == torch.bool else mask


def _row_block(z: Tensor) -> int:
    return min(ROW_BLOCK, power_of_two(z.shape[-1]))
