"""What runs on the GPU: the programs that `triton.py` launches, each over one tile of its output.

A program is compiled by Triton from its source, or run as it stands, slowly, in Triton's interpreter. Names in capitals are
known when it is compiled. All sums are float32; DOT is the type that goes into a product of tiles. Rows and columns beyond the
edges of a matrix are loaded as zeros and never stored. Where Triton is not installed this module can be imported, not used.
"""

from __future__ import annotations

import inspect

try:
    import triton
    import triton.language as tl
except ImportError:  # an optional dependency, of 700 MB
    triton = None


def program(function):
    """Give a function to Triton, as it is written: what a checker of types wraps around it could not be compiled."""
    function = inspect.unwrap(function)
    return function if triton is None else triton.jit(function)


@program
def tile(matrix, rows, columns, height, width, DOT: tl.constexpr):
    """Some rows and columns of a (height, width) matrix."""
    inside = (rows[:, None] < height) & (columns[None, :] < width)
    places = rows[:, None].to(tl.int64) * width + columns[None, :]
    return tl.load(matrix + places, mask=inside, other=0.0).to(DOT)


@program
def store_tile(matrix, rows, columns, height, width, values):
    """The way back of `tile`."""
    inside = (rows[:, None] < height) & (columns[None, :] < width)
    places = rows[:, None].to(tl.int64) * width + columns[None, :]
    tl.store(matrix + places, values.to(matrix.dtype.element_ty), mask=inside)


@program
def softmax_forward(z, out, V, BLOCK: tl.constexpr):
    """One row: the largest and the sum online, a block at a time, then exp(z - largest) / sum."""
    row = tl.program_id(0).to(tl.int64) * V
    largest = tl.full((), float("-inf"), tl.float32)
    total = tl.full((), 0.0, tl.float32)
    for start in range(0, V, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(z + row + columns, mask=columns < V, other=float("-inf")).to(tl.float32)
        new = tl.maximum(largest, tl.max(x, axis=0))
        finite = tl.where(new == float("-inf"), 0.0, new)  # nothing seen yet: -inf - -inf would be NaN
        total = total * tl.exp(largest - finite) + tl.sum(tl.exp(x - finite), axis=0)
        largest = new
    for start in range(0, V, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(z + row + columns, mask=columns < V, other=float("-inf")).to(tl.float32)
        tl.store(out + row + columns, (tl.exp(x - largest) / total).to(out.dtype.element_ty), mask=columns < V)


@program
def softmax_backward(p, grad, out, V, BLOCK: tl.constexpr):
    """One row of dz = p (dp - sum p dp)."""
    row = tl.program_id(0).to(tl.int64) * V
    inner = tl.full((), 0.0, tl.float32)
    for start in range(0, V, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(p + row + columns, mask=columns < V, other=0.0).to(tl.float32)
        inner += tl.sum(x * tl.load(grad + row + columns, mask=columns < V, other=0.0).to(tl.float32), axis=0)
    for start in range(0, V, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(p + row + columns, mask=columns < V, other=0.0).to(tl.float32)
        g = tl.load(grad + row + columns, mask=columns < V, other=0.0).to(tl.float32)
        tl.store(out + row + columns, (x * (g - inner)).to(out.dtype.element_ty), mask=columns < V)


@program
def scores(q, k, mask, rows, columns, scale, T, S, mask_t, mask_s,
           CAUSAL: tl.constexpr, MASK: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """A tile of q k^T * scale + mask, -inf where a query may not attend and beyond the edges."""
    allowed = (rows[:, None] < T) & (columns[None, :] < S)
    if CAUSAL:
        allowed = allowed & (columns[None, :] <= rows[:, None] + (S - T))
    result = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
    if MASK != "none":
        places = mask + rows[:, None].to(tl.int64) * mask_t + columns[None, :].to(tl.int64) * mask_s
        if MASK == "boolean":
            allowed = allowed & (tl.load(places, mask=allowed, other=0) != 0)
        else:
            result += tl.load(places, mask=allowed, other=0.0).to(tl.float32)
    return tl.where(allowed, result, float("-inf"))


@program
def attention_forward(q, k, v, mask, out, logsumexp, scale, H, G, T, S, K, E, mask_b, mask_h, mask_t, mask_s,
                      CAUSAL: tl.constexpr, MASK: tl.constexpr, PRECISION: tl.constexpr, DOT: tl.constexpr,
                      BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr,
                      BLOCK_K: tl.constexpr, BLOCK_E: tl.constexpr):  # fmt: skip
    """The outputs of some queries of one head, and the log-sum-exp of their scores: one pass over the keys."""
    row_blocks = tl.cdiv(T, BLOCK_T)
    block = tl.program_id(0) % row_blocks
    head = (tl.program_id(0) // row_blocks).to(tl.int64)  # of all B H
    key_head = head // H * G + head % H // (H // G)  # of all B G
    mask += head // H * mask_b + head % H * mask_h
    rows = block * BLOCK_T + tl.arange(0, BLOCK_T)
    wide, out_wide = tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_E)
    query = tile(q + head * T * K, rows, wide, T, K, DOT)
    largest = tl.full((BLOCK_T,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK_T,), tl.float32)
    result = tl.zeros((BLOCK_T, BLOCK_E), tl.float32)
    stop = S
    if CAUSAL:
        stop = tl.minimum(S, (block + 1) * BLOCK_T + S - T)
    for start in range(0, stop, BLOCK_S):
        columns = start + tl.arange(0, BLOCK_S)
        key = tile(k + key_head * S * K, columns, wide, S, K, DOT)
        z = scores(query, key, mask, rows, columns, scale, T, S, mask_t, mask_s, CAUSAL, MASK, PRECISION)
        new = tl.maximum(largest, tl.max(z, axis=1))
        finite = tl.where(new == float("-inf"), 0.0, new)  # nothing seen yet: -inf - -inf would be NaN
        shrink = tl.exp(largest - finite)
        p = tl.exp(z - finite[:, None])
        total = total * shrink + tl.sum(p, axis=1)
        value = tile(v + key_head * S * E, columns, out_wide, S, E, DOT)
        result = tl.dot(p.to(DOT), value, result * shrink[:, None], input_precision=PRECISION)
        largest = new
    nothing = total == 0.0  # no key may be attended to: zeros, and p = exp(-inf - 0) = 0 in the backward pass
    total = tl.where(nothing, 1.0, total)
    store_tile(out + head * T * E, rows, out_wide, T, E, result / total[:, None])
    tl.store(logsumexp + head * T + rows, tl.where(nothing, 0.0, largest + tl.log(total)), mask=rows < T)


@program
def attention_grad_q(q, k, v, mask, grad, logsumexp, delta, grad_q,
                     scale, H, G, T, S, K, E, mask_b, mask_h, mask_t, mask_s,
                     CAUSAL: tl.constexpr, MASK: tl.constexpr, PRECISION: tl.constexpr, DOT: tl.constexpr,
                     BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr,
                     BLOCK_K: tl.constexpr, BLOCK_E: tl.constexpr):  # fmt: skip
    """dq of some queries of one head: each tile of p is computed again, ds = p (g v^T - delta)."""
    row_blocks = tl.cdiv(T, BLOCK_T)
    block = tl.program_id(0) % row_blocks
    head = (tl.program_id(0) // row_blocks).to(tl.int64)
    key_head = head // H * G + head % H // (H // G)
    mask += head // H * mask_b + head % H * mask_h
    rows = block * BLOCK_T + tl.arange(0, BLOCK_T)
    wide, out_wide = tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_E)
    query = tile(q + head * T * K, rows, wide, T, K, DOT)
    g = tile(grad + head * T * E, rows, out_wide, T, E, DOT)
    normaliser = tl.load(logsumexp + head * T + rows, mask=rows < T, other=0.0)
    d = tl.load(delta + head * T + rows, mask=rows < T, other=0.0)
    result = tl.zeros((BLOCK_T, BLOCK_K), tl.float32)
    stop = S
    if CAUSAL:
        stop = tl.minimum(S, (block + 1) * BLOCK_T + S - T)
    for start in range(0, stop, BLOCK_S):
        columns = start + tl.arange(0, BLOCK_S)
        key = tile(k + key_head * S * K, columns, wide, S, K, DOT)
        value = tile(v + key_head * S * E, columns, out_wide, S, E, DOT)
        z = scores(query, key, mask, rows, columns, scale, T, S, mask_t, mask_s, CAUSAL, MASK, PRECISION)
        p = tl.exp(z - normaliser[:, None])
        ds = p * (tl.dot(g, tl.trans(value), input_precision=PRECISION) - d[:, None])
        result = tl.dot(ds.to(DOT), key, result, input_precision=PRECISION)
    store_tile(grad_q + head * T * K, rows, wide, T, K, result * scale)


@program
def attention_grad_kv(q, k, v, mask, grad, logsumexp, delta, grad_k, grad_v,
                      scale, H, G, T, S, K, E, mask_b, mask_h, mask_t, mask_s,
                      CAUSAL: tl.constexpr, MASK: tl.constexpr, PRECISION: tl.constexpr, DOT: tl.constexpr,
                      BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr,
                      BLOCK_K: tl.constexpr, BLOCK_E: tl.constexpr):  # fmt: skip
    """dk and dv of some keys of one key head, over all queries of all the heads that it serves: nothing is added twice."""
    column_blocks = tl.cdiv(S, BLOCK_S)
    first = tl.program_id(0) % column_blocks * BLOCK_S
    key_head = (tl.program_id(0) // column_blocks).to(tl.int64)
    columns = first + tl.arange(0, BLOCK_S)
    wide, out_wide = tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_E)
    key = tile(k + key_head * S * K, columns, wide, S, K, DOT)
    value = tile(v + key_head * S * E, columns, out_wide, S, E, DOT)
    dk = tl.zeros((BLOCK_S, BLOCK_K), tl.float32)
    dv = tl.zeros((BLOCK_S, BLOCK_E), tl.float32)
    begin = 0
    if CAUSAL:
        begin = tl.maximum(0, first - (S - T)) // BLOCK_T * BLOCK_T  # earlier queries see none of these keys
    for served in range(H // G):
        h = key_head % G * (H // G) + served
        head = key_head // G * H + h
        part = mask + key_head // G * mask_b + h * mask_h
        for start in range(begin, T, BLOCK_T):
            rows = start + tl.arange(0, BLOCK_T)
            query = tile(q + head * T * K, rows, wide, T, K, DOT)
            g = tile(grad + head * T * E, rows, out_wide, T, E, DOT)
            normaliser = tl.load(logsumexp + head * T + rows, mask=rows < T, other=0.0)
            d = tl.load(delta + head * T + rows, mask=rows < T, other=0.0)
            z = scores(query, key, part, rows, columns, scale, T, S, mask_t, mask_s, CAUSAL, MASK, PRECISION)
            p = tl.exp(z - normaliser[:, None])
            dv = tl.dot(tl.trans(p.to(DOT)), g, dv, input_precision=PRECISION)
            ds = p * (tl.dot(g, tl.trans(value), input_precision=PRECISION) - d[:, None])
            dk = tl.dot(tl.trans(ds.to(DOT)), query, dk, input_precision=PRECISION)
    store_tile(grad_k + key_head * S * K, columns, wide, S, K, dk * scale)
    store_tile(grad_v + key_head * S * E, columns, out_wide, S, E, dv)


@program
def logits(hidden, weight, bias, rows, columns, N, V, D, HAS_BIAS: tl.constexpr, PRECISION: tl.constexpr,
           DOT: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr):  # fmt: skip
    """A tile of hidden weight^T + bias, -inf beyond the vocabulary."""
    z = tl.zeros((BLOCK_N, BLOCK_V), tl.float32)
    for start in range(0, D, BLOCK_D):
        wide = start + tl.arange(0, BLOCK_D)
        x = tile(hidden, rows, wide, N, D, DOT)
        w = tile(weight, columns, wide, V, D, DOT)
        z = tl.dot(x, tl.trans(w), z, input_precision=PRECISION)
    if HAS_BIAS:
        z += tl.load(bias + columns, mask=columns < V, other=0.0).to(tl.float32)[None, :]
    return tl.where(columns[None, :] < V, z, float("-inf"))


@program
def loss_forward(hidden, weight, bias, targets, partial, wanted, N, V, D, chunk, HAS_BIAS: tl.constexpr,
                 PRECISION: tl.constexpr, DOT: tl.constexpr,
                 BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr):  # fmt: skip
    """For some rows, log-sum-exp over one chunk of the vocabulary, and the target's logit if it lies there."""
    row_blocks = tl.cdiv(N, BLOCK_N)
    part = tl.program_id(0) // row_blocks  # neighbours share the weights of a chunk
    rows = tl.program_id(0) % row_blocks * BLOCK_N + tl.arange(0, BLOCK_N)
    target = tl.load(targets + rows, mask=rows < N, other=-1)
    largest = tl.full((BLOCK_N,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK_N,), tl.float32)
    found = tl.zeros((BLOCK_N,), tl.float32)
    stop = tl.minimum(V, part * chunk + chunk)
    for start in range(part * chunk, stop, BLOCK_V):
        columns = start + tl.arange(0, BLOCK_V)
        z = logits(hidden, weight, bias, rows, columns, N, stop, D, HAS_BIAS, PRECISION, DOT, BLOCK_N, BLOCK_V, BLOCK_D)
        new = tl.maximum(largest, tl.max(z, axis=1))
        finite = tl.where(new == float("-inf"), 0.0, new)
        total = total * tl.exp(largest - finite) + tl.sum(tl.exp(z - finite[:, None]), axis=1)
        found += tl.sum(tl.where(columns[None, :] == target[:, None], z, 0.0), axis=1)
        largest = new
    tl.store(partial + part.to(tl.int64) * N + rows, largest + tl.log(total), mask=rows < N)
    here = (target >= part * chunk) & (target < stop)
    tl.store(wanted + rows, found, mask=(rows < N) & here)


@program
def loss_backward(hidden, weight, bias, targets, denominator, grad, out, N, V, D, HAS_BIAS: tl.constexpr,
                  PRECISION: tl.constexpr, DOT: tl.constexpr,
                  BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr):  # fmt: skip
    """A tile of d loss / d logits = grad (softmax - onehot), the logits computed again."""
    row_blocks = tl.cdiv(N, BLOCK_N)
    rows = tl.program_id(0) % row_blocks * BLOCK_N + tl.arange(0, BLOCK_N)
    columns = tl.program_id(0) // row_blocks * BLOCK_V + tl.arange(0, BLOCK_V)
    z = logits(hidden, weight, bias, rows, columns, N, V, D, HAS_BIAS, PRECISION, DOT, BLOCK_N, BLOCK_V, BLOCK_D)
    inside = rows < N
    p = tl.exp(z - tl.load(denominator + rows, mask=inside, other=0.0)[:, None])
    p -= tl.where(columns[None, :] == tl.load(targets + rows, mask=inside, other=-1)[:, None], 1.0, 0.0)
    store_tile(out, rows, columns, N, V, p * tl.load(grad + rows, mask=inside, other=0.0)[:, None])
