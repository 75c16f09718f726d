"""Keys and values of the tokens already read, so that decoding computes only the new ones.

Buffers are allocated once (or doubled when they are full) and written in place: a step copies the new token's
keys and values, never the old ones. The cache is for inference: what it holds is detached, and a backward pass
through a model that used it raises RuntimeError.
"""

from jaxtyping import Float, Int
from torch import Tensor

from lib import checks


class KVCache:
    """Keys and values of every layer of one decoder for one batch (slide C20; T45 counts such memory).

    It grows as needed; `capacity` tokens are reserved at the first write. Pass the same object to each call
    of the model and only the new tokens as `input_ids`; with padding, pass the attention mask of *all* tokens
    so far. In an encoder-decoder it also keeps what cross-attention reads, made once from the source.
    Raises ValueError if `capacity` is not positive.

    >>> cache = KVCache(capacity=64)
    >>> cache.length, cache.nbytes
    (0, 0)
    """

    detaches = True  # what is held has no gradient

    def __init__(self, capacity: int = 256) -> None:
        self.capacity = checks.whole("capacity", capacity)
        self.length = 0
        self.padded = False  # set by the model: from then on each call needs the attention mask
        self.source: tuple[Tensor, Tensor | None] | None = None  # ids and mask behind the cross keys
        self._keys: list[Tensor] = []  # per layer (B, G, capacity, K)
        self._values: list[Tensor] = []
        self._cross: dict[int, tuple[Tensor, Tensor]] = {}  # layer: (B, G, S, K) twice

    @property
    def batch_size(self) -> int | None:
        """B, once something was written."""
        return self._keys[0].shape[0] if self._keys else None

    @property
    def nbytes(self) -> int:
        """Bytes of the tokens held: 2 L B G K · length · bytes per number, plus what cross-attention reads."""
        held = sum(t[:, :, : self.length].numel() * t.element_size() for t in (*self._keys, *self._values))
        return held + sum(t.numel() * t.element_size() for pair in self._cross.values() for t in pair)

    @property
    def allocated_nbytes(self) -> int:
        """Bytes reserved, of which `nbytes` are in use."""
        reserved = sum(t.numel() * t.element_size() for t in (*self._keys, *self._values))
        return reserved + sum(t.numel() * t.element_size() for pair in self._cross.values() for t in pair)

    def update(
        self, layer: int, k: Float[Tensor, "B G T K"], v: Float[Tensor, "B G T K"]
    ) -> tuple[Float[Tensor, "B G S K"], Float[Tensor, "B G S K"]]:
        """Write the new tokens of one layer and return all its keys and values, as views, S = length + T.

        `length` moves only with `advance`, after the last layer: a pass that fails half-way leaves no trace.
        Raises ValueError if the batch is not the one the cache was begun with.
        """
        end = self.length + k.shape[2]
        self._reserve(layer, k, end)
        keys, values = self._keys[layer], self._values[layer]
        keys[:, :, self.length : end] = k.detach()
        values[:, :, self.length : end] = v.detach()
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, tokens: int) -> None:
        """Count `tokens` more as held, once every layer has written them."""
        self.length += tokens

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens (to try another continuation of the same beginning).

        Raises ValueError if `length` is negative or more than is held.
        """
        self.length = checks.whole("length", length, 0, self.length)

    def select(self, rows: Int[Tensor, "R"]) -> None:
        """Keep these rows of the batch, in this order, each as often as it is named (beam search).

        Raises IndexError if a row is not held.
        """
        for buffers in (self._keys, self._values):
            for layer, old in enumerate(buffers):
                held = old[:, :, : self.length].index_select(0, rows)
                buffers[layer] = old.new_empty(len(rows), *old.shape[1:])
                buffers[layer][:, :, : self.length] = held
        self._cross = {layer: (k[rows], v[rows]) for layer, (k, v) in self._cross.items()}
        if self.source is not None:
            ids, mask = self.source
            self.source = (ids[rows], None if mask is None else mask[rows])

    def cross(self, layer: int) -> tuple[Float[Tensor, "B G S K"], Float[Tensor, "B G S K"]]:
        """The cross-attention keys and values of a layer, as they were kept."""
        return self._cross[layer]

    def keep_cross(self, layer: int, k: Float[Tensor, "B G S K"], v: Float[Tensor, "B G S K"]) -> None:
        """Keep a layer's cross-attention keys and values: the source stays while its target is written."""
        self._cross[layer] = (k.detach(), v.detach())

    def _reserve(self, layer: int, k: Tensor, end: int) -> None:
        batch, heads, _, width = k.shape
        if layer == len(self._keys):
            size = max(self.capacity, end)
            self._keys.append(k.new_empty(batch, heads, size, width))
            self._values.append(k.new_empty(batch, heads, size, width))
        held = self._keys[layer]
        holds = (held.shape[0], held.shape[1], held.shape[3])
        if holds != (batch, heads, width):
            raise ValueError(
                f"the cache holds keys of (batch, heads, width) {holds}, "
                f"got {batch, heads, width}: begin a new KVCache for another batch or model"
            )
        if end > held.shape[2]:
            self._grow(layer, max(end, 2 * held.shape[2]))

    def _grow(self, layer: int, size: int) -> None:
        for buffers in (self._keys, self._values):
            old = buffers[layer]
            buffers[layer] = old.new_empty(*old.shape[:2], size, old.shape[3])
            buffers[layer][:, :, : self.length] = old[:, :, : self.length]
