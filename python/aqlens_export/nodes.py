"""The pieces that graphs are put together from: norms, projections, activations, rotations."""

import numpy as np
import torch

from .dtypes import ONNX_TYPES
from .graph import GraphBuilder
from .spec import Linear, Norm, Rope


class Nodes:
    """Adds pieces to the graph of a `GraphBuilder`. Every method returns the name of its output.

    Values are float32; weights of matrix products and embeddings are of `dtype`, and products are
    computed in it (`dtypes.py`).
    """

    def __init__(self, g: GraphBuilder, dtype: torch.dtype = torch.float32):
        self.g, self.dtype = g, dtype
        self._narrow = set()

    def add(self, op: str, inputs: list[str], output: str, **attributes) -> str:
        """One node with one output, named like it."""
        return self.g.node(op, inputs, output, **attributes)

    def weight(self, name: str, values) -> str:
        """A weight, stored once."""
        return self.g.weight(name, values)

    def narrow_weight(self, name: str, values) -> str:
        """A weight in the graph's type, stored once."""
        self._narrow.add(name)
        return self.g.weight(name, values, self.dtype)

    def product(self, op: str, inputs: list[str], output: str, **attributes) -> str:
        """A matrix product of values and weights, computed in the graph's type."""
        if self.dtype == torch.float32:
            return self.add(op, inputs, output, **attributes)
        given = [self._narrowed(value) for value in inputs]
        self.add(op, given, f"{output}.narrow", **attributes)
        return self.widened(f"{output}.narrow", output)

    def rows(self, table: str, indices: str, output: str) -> str:
        """Rows of a weight in the graph's type."""
        if self.dtype == torch.float32:
            return self.add("Gather", [table, indices], output)
        self.add("Gather", [table, indices], f"{output}.narrow")
        return self.widened(f"{output}.narrow", output)

    def widened(self, value: str, output: str) -> str:
        """`value` as float32."""
        return self.add("Cast", [value], output, to=ONNX_TYPES[torch.float32])

    def _narrowed(self, value: str) -> str:
        """`value` in the graph's type; one cast, however often it is asked for."""
        if value in self._narrow:
            return value
        name = f"{value}.as_narrow"
        if name not in self._narrow:
            self._narrow.add(name)
            self.add("Cast", [value], name, to=ONNX_TYPES[self.dtype])
        return name

    def ints(self, name: str, values) -> str:
        """Whole numbers, kept in the graph."""
        return self.g.ints(name, values)

    def scalar(self, name: str, value: float) -> str:
        """One float, kept in the graph."""
        return self.g.weight(name, np.array(value, np.float32))

    def split(self, value: str, sizes: list[int], outputs: list[str]) -> list[str]:
        """The last axis in parts of `sizes`."""
        self.ints(f"{outputs[0]}.sizes", sizes)
        return self.g.several("Split", [value, f"{outputs[0]}.sizes"], outputs, axis=-1)

    def times(self, value: str, factor: float, name: str) -> str:
        """value * factor; `value` itself when the factor is 1."""
        if factor == 1.0:
            return value
        return self.add("Mul", [value, self.scalar(f"{name}.factor", factor)], name)

    def capped(self, value: str, cap: float | None, name: str) -> str:
        """cap * tanh(value / cap); `value` itself without a cap."""
        if not cap:
            return value
        self.add("Div", [value, self.scalar(f"{name}.cap", cap)], f"{name}.divided")
        self.add("Tanh", [f"{name}.divided"], f"{name}.tanh")
        return self.add("Mul", [f"{name}.tanh", f"{name}.cap"], name)

    def linear(self, linear: Linear, value: str, name: str) -> str:
        """value [rows, in] @ weight.T + bias: [rows, out]."""
        inputs = [value, self.narrow_weight(f"{name}.weight", linear.weight)]
        if linear.bias is not None:
            inputs.append(self.narrow_weight(f"{name}.bias", linear.bias))
        return self.product("Gemm", inputs, name, transB=1)

    def norm(self, norm: Norm | None, value: str, name: str) -> str:
        """The normalised last axis; `value` itself without a norm."""
        if norm is None:
            return value
        if norm.kind == "layer":
            return self._layer_norm(norm, value, name)
        # The form that ONNX Runtime runs as one kernel.
        self.add("Pow", [value, self.scalar("two.float", 2.0)], f"{name}.squares")
        self.g.ints("axis.last", [-1])
        self.add("ReduceMean", [f"{name}.squares", "axis.last"], f"{name}.mean_square", keepdims=1)
        epsilon = self.scalar(f"{name}.epsilon", norm.eps)
        self.add("Add", [f"{name}.mean_square", epsilon], f"{name}.variance")
        self.add("Sqrt", [f"{name}.variance"], f"{name}.size")
        plain = norm.weight is None
        value = self.add("Div", [value, f"{name}.size"], name if plain else f"{name}.unit")
        return value if plain else self._scaled(norm, value, name)

    def _scaled(self, norm: Norm, value: str, name: str) -> str:
        """`value` times the norm's weight, plus its bias."""
        last = norm.bias is None
        weight = self.weight(f"{name}.scale", norm.weight)
        value = self.add("Mul", [value, weight], name if last else f"{name}.scaled")
        if last:
            return value
        return self.add("Add", [value, self.weight(f"{name}.bias", norm.bias)], name)

    def _layer_norm(self, norm: Norm, value: str, name: str) -> str:
        """The operator takes one weight for all rows: others are multiplied on afterwards."""
        by_head = norm.weight is not None and norm.weight.dim() > 1
        if norm.weight is None or by_head:
            self.weight(f"{name}.ones", torch.ones(norm.width))
            out = f"{name}.unit" if by_head else name
            inputs = [value, f"{name}.ones"]
            value = self.add("LayerNormalization", inputs, out, axis=-1, epsilon=norm.eps)
            return self._scaled(norm, value, name) if by_head else value
        inputs = [value, self.weight(f"{name}.scale", norm.weight)]
        if norm.bias is not None:
            inputs.append(self.weight(f"{name}.bias", norm.bias))
        return self.add("LayerNormalization", inputs, name, axis=-1, epsilon=norm.eps)

    def activation(self, kind: str, value: str, name: str) -> str:
        """An activation of `parts.ACTIVATIONS`."""
        if kind == "relu":
            return self.add("Relu", [value], name)
        if kind == "relu_squared":
            self.add("Relu", [value], f"{name}.relu")
            return self.add("Mul", [f"{name}.relu", f"{name}.relu"], name)
        if kind == "silu":
            self.add("Sigmoid", [value], f"{name}.sigmoid")
            return self.add("Mul", [value, f"{name}.sigmoid"], name)
        approximate = {"gelu": "none", "gelu_tanh": "tanh"}[kind]
        return self.add("Gelu", [value], name, approximate=approximate)

    def rotate(self, rope: Rope, size: int, turned: int, value: str, name: str) -> str:
        """The first `turned` of `size` dimensions rotated by their positions: [.., seq, size]."""
        rest = []
        if turned < size:
            parts = [f"{name}.turned", f"{name}.rest"]
            value, *rest = self.split(value, [turned, size - turned], parts)
        halves = [f"{name}.a", f"{name}.b"]
        if rope.interleaved:
            self.ints("shape.pairs", [0, 0, 0, -1, 2])
            pairs = self.add("Reshape", [value, "shape.pairs"], f"{name}.pairs")
            split = self.split(pairs, [1, 1], [f"{half}_column" for half in halves])
            for half, column in zip(halves, split, strict=True):
                self.add("Squeeze", [column, self.ints("axis.last", [-1])], half)
        else:
            self.split(value, [turned // 2] * 2, halves)
        a, b = halves
        cos, sin = f"{rope.table}.cos", f"{rope.table}.sin"
        for x, factor, out in ((a, cos, "ac"), (b, sin, "bs"), (b, cos, "bc"), (a, sin, "as")):
            self.add("Mul", [x, factor], f"{name}.{out}")
        self.add("Sub", [f"{name}.ac", f"{name}.bs"], f"{name}.first")
        self.add("Add", [f"{name}.bc", f"{name}.as"], f"{name}.second")
        if not rope.interleaved:
            return self.add("Concat", [f"{name}.first", f"{name}.second", *rest], name, axis=-1)
        for part in ("first", "second"):
            self.add("Unsqueeze", [f"{name}.{part}", "axis.last"], f"{name}.{part}_column")
        columns = [f"{name}.first_column", f"{name}.second_column"]
        self.add("Concat", columns, f"{name}.turned_pairs", axis=-1)
        self.ints("shape.unpaired", [0, 0, 0, -1])
        whole = f"{name}.turned_back" if rest else name
        self.add("Reshape", [f"{name}.turned_pairs", "shape.unpaired"], whole)
        return self.add("Concat", [whole, *rest], name, axis=-1) if rest else whole
