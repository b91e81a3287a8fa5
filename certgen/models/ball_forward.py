"""The model as a function, in ball arithmetic (Arb): one input at a time, as precisely as is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cached_property

import flint
import numpy as np
import numpy.typing as npt

from certgen.models.model_file import Model


class BallForward:
    """A model whose weights are held as exact balls. The precision is that of `flint.ctx` when it is called."""

    def __init__(self, model: Model) -> None:
        self.model, self.architecture = model, model.architecture

    @cached_property
    def tensors(self) -> Mapping[str, list[flint.arb_mat]]:
        """Each tensor as matrices, one for each head where there are heads; a vector is one row."""
        return {name: [matrix(part) for part in parts(name, array)] for name, array in self.model.tensors.items()}

    def logits(self, tokens: list[int], readout: int | None) -> list[flint.arb]:
        """The logits of one input; balls that hold everything where a denominator may be 0."""
        k, one = len(tokens), self.one
        x = matrix(self.model.tensors["embed.W_E"][tokens]) + matrix(self.model.tensors["pos_embed.W_pos"][:k])
        for index in range(self.architecture.blocks):
            x = self.block(f"blocks.{index}", x)
        if "final" in self.architecture.norms:
            x = self.norm("ln_final", x)
        if self.architecture.pool == "none":
            read = k - 1 if readout is None else readout
            z = flint.arb_mat([[x[read, j] for j in range(x.ncols())]])
        else:
            z = ones(1, k) * x
            z = z / flint.arb(k) if self.architecture.pool == "mean" else z
        for layer in range(self.architecture.readout_layers):
            z = self.linear(z, one(f"readout.{layer}.W"), one(f"readout.{layer}.b"))
            z = entrywise(z, relu)
        z = self.linear(z, one("unembed.W_U"), one("unembed.b_U"))
        found: list[flint.arb] = z.entries()
        return found

    def one(self, name: str) -> flint.arb_mat:
        return self.tensors[name][0]

    def linear(self, x: flint.arb_mat, weights: flint.arb_mat, bias: flint.arb_mat) -> flint.arb_mat:
        return x * weights + ones(x.nrows(), 1) * bias

    def block(self, name: str, x: flint.arb_mat) -> flint.arb_mat:
        norms, one = self.architecture.norms, self.one
        x = x + self.attention(f"{name}.attn", self.norm(f"{name}.ln1", x) if "pre" in norms else x)
        x = self.norm(f"{name}.ln1", x) if "post" in norms else x
        if self.architecture.activation == "none":
            return x
        y = self.norm(f"{name}.ln2", x) if "pre" in norms else x
        hidden = self.linear(y, one(f"{name}.mlp.W_in"), one(f"{name}.mlp.b_in"))
        hidden = entrywise(hidden, ACTIVATIONS[self.architecture.activation])
        x = x + self.linear(hidden, one(f"{name}.mlp.W_out"), one(f"{name}.mlp.b_out"))
        return self.norm(f"{name}.ln2", x) if "post" in norms else x

    def attention(self, name: str, y: flint.arb_mat) -> flint.arb_mat:
        scale = Fraction(self.architecture.attn_scale_squared)
        root = (flint.arb(scale.numerator) / scale.denominator).sqrt()
        total = ones(y.nrows(), 1) * self.one(f"{name}.b_O")
        for head in range(self.architecture.heads):
            q, k, v = (
                self.linear(y, self.tensors[f"{name}.W_{part}"][head], self.tensors[f"{name}.b_{part}"][head])
                for part in "QKV"
            )
            weights = self.shares(q * k.transpose() / root)
            total = total + weights * v * self.tensors[f"{name}.W_O"][head]
        return total

    def shares(self, scores: flint.arb_mat) -> flint.arb_mat:
        """The softmax of each row, over what its position sees."""
        rows = []
        for p, row in enumerate(scores.tolist()):
            seen = row[: p + 1] if self.architecture.mask == "causal" else row
            top = max(seen, key=float)
            weights = [(score - top).exp() for score in seen]
            total = sum(weights, flint.arb(0))
            rows.append([weight / total for weight in weights] + [flint.arb(0)] * (len(row) - len(seen)))
        return flint.arb_mat(rows)

    def norm(self, name: str, x: flint.arb_mat) -> flint.arb_mat:
        eps = Fraction(self.architecture.eps)
        rows = []
        for row in x.tolist():
            mean = sum(row, flint.arb(0)) / len(row)
            centred = [entry - mean for entry in row]
            variance = sum((entry * entry for entry in centred), flint.arb(0)) / len(row)
            sigma = (variance + flint.arb(eps.numerator) / eps.denominator).sqrt()
            rows.append([entry / sigma for entry in centred])
        if self.architecture.normalization == "LN":
            w, b = self.one(f"{name}.w").entries(), self.one(f"{name}.b").entries()
            rows = [[entry * w[j] + b[j] for j, entry in enumerate(row)] for row in rows]
        return flint.arb_mat(rows)


def parts(name: str, array: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """The matrices that a tensor is made of."""
    heads = name.rpartition(".")[2] in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")
    return [np.atleast_2d(part) for part in array] if heads else [np.atleast_2d(array)]


def matrix(rows: npt.NDArray[np.float64]) -> flint.arb_mat:
    """Exactly these numbers."""
    return flint.arb_mat([[flint.arb(entry) for entry in row] for row in rows.tolist()])


def ones(rows: int, columns: int) -> flint.arb_mat:
    return flint.arb_mat([[1] * columns] * rows)


def entrywise(x: flint.arb_mat, function: Callable[[flint.arb], flint.arb]) -> flint.arb_mat:
    return flint.arb_mat([[function(entry) for entry in row] for row in x.tolist()])


def relu(z: flint.arb) -> flint.arb:
    return z.max(flint.arb(0))


def silu(z: flint.arb) -> flint.arb:
    return z / (1 + (-z).exp())


def gelu_tanh(z: flint.arb) -> flint.arb:
    cube = z * z * z * 44_715 / 1_000_000
    return z / 2 * (1 + ((2 / flint.arb.pi()).sqrt() * (z + cube)).tanh())


def gelu_erf(z: flint.arb) -> flint.arb:
    return z / 2 * (-z / flint.arb(2).sqrt()).erfc()


ACTIVATIONS = {"relu": relu, "silu": silu, "gelu_tanh": gelu_tanh, "gelu_erf": gelu_erf}
