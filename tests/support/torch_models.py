"""Plain PyTorch transformers as people write them, small, each under the names of one recipe."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

V, D, HEADS, WIDTH, CTX, MLP, OUT = 7, 8, 2, 4, 5, 12, 6


def attend(q: Tensor, k: Tensor, v: Tensor, causal: bool = True, scale: float | None = None) -> Tensor:
    """softmax(q k / scale) v, by its definition; the last two axes are position and entry."""
    scores = q @ k.mT / (math.sqrt(q.shape[-1]) if scale is None else scale)
    if causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(hidden, -math.inf)
    return scores.softmax(-1) @ v


class Lens(nn.Module):
    """The names and axes of HookedTransformer, in double, with everything as an option."""

    def __init__(
        self,
        blocks: int = 2,
        causal: bool = True,
        ln: bool = True,
        weighted: bool = True,
        act: Callable[[Tensor], Tensor] | None = F.gelu,
        scale: float | None = None,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.causal, self.ln, self.weighted, self.act, self.scale, self.eps = causal, ln, weighted, act, scale, eps
        self.weights: dict[str, Tensor] = {}
        self.count = blocks
        shapes = {"embed.W_E": (V, D), "pos_embed.W_pos": (CTX, D), "unembed.W_U": (D, OUT), "unembed.b_U": (OUT,)}
        for i in range(blocks):
            a = f"blocks.{i}.attn"
            shapes |= {f"{a}.W_{x}": (HEADS, D, WIDTH) for x in "QKV"} | {f"{a}.b_{x}": (HEADS, WIDTH) for x in "QKV"}
            shapes |= {f"{a}.W_O": (HEADS, WIDTH, D), f"{a}.b_O": (D,)}
            if act is not None:
                m = f"blocks.{i}.mlp"
                shapes |= {f"{m}.W_in": (D, MLP), f"{m}.b_in": (MLP,), f"{m}.W_out": (MLP, D), f"{m}.b_out": (D,)}
            if ln and weighted:
                names = ["ln1", "ln2"] if act is not None else ["ln1"]
                shapes |= {f"blocks.{i}.{name}.{x}": (D,) for name in names for x in "wb"}
        if ln and weighted:
            shapes |= {"ln_final.w": (D,), "ln_final.b": (D,)}
        self.weights = {name: torch.randn(shape) for name, shape in shapes.items()}
        for i in range(blocks):
            self.weights[f"blocks.{i}.attn.mask"] = torch.ones(CTX, CTX).tril().bool()
            self.weights[f"blocks.{i}.attn.IGNORE"] = torch.tensor(-math.inf)

    def norm(self, name: str, x: Tensor) -> Tensor:
        if not self.ln:
            return x
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()
        return x * self.weights[f"{name}.w"] + self.weights[f"{name}.b"] if self.weighted else x

    def forward(self, tokens: Tensor) -> Tensor:
        w = self.weights
        x = w["embed.W_E"][tokens] + w["pos_embed.W_pos"][: tokens.shape[1]]
        for i in range(self.count):
            a, m = f"blocks.{i}.attn", f"blocks.{i}.mlp"
            y = self.norm(f"blocks.{i}.ln1", x)[:, None]
            q, k, v = (y @ w[f"{a}.W_{each}"] + w[f"{a}.b_{each}"][:, None] for each in "QKV")
            x = x + (attend(q, k, v, self.causal, self.scale) @ w[f"{a}.W_O"]).sum(1) + w[f"{a}.b_O"]
            if self.act is not None:
                y = self.norm(f"blocks.{i}.ln2", x)
                x = x + self.act(y @ w[f"{m}.W_in"] + w[f"{m}.b_in"]) @ w[f"{m}.W_out"] + w[f"{m}.b_out"]
        return self.norm("ln_final", x) @ w["unembed.W_U"] + w["unembed.b_U"]

    def state_dict(self, *_: Any, **__: Any) -> Any:
        return dict(self.weights)


class Grokking(nn.Module):
    """The hand-written transformer of the grokking paper: matrices out x in, no bias in attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.ParameterDict({"W_E": torch.randn(D, V)})
        self.pos_embed = nn.ParameterDict({"W_pos": torch.randn(CTX, D)})
        attention = nn.ParameterDict({f"W_{x}": torch.randn(HEADS, WIDTH, D) for x in "KQV"})
        attention["W_O"] = torch.randn(D, HEADS * WIDTH)
        attention.register_buffer("mask", torch.ones(CTX, CTX).tril())
        shapes = {"W_in": (MLP, D), "b_in": (MLP,), "W_out": (D, MLP), "b_out": (D,)}
        mlp = nn.ParameterDict({name: torch.randn(shape) for name, shape in shapes.items()})
        self.blocks = nn.ModuleList([nn.ModuleDict({"attn": attention, "mlp": mlp})])
        self.unembed = nn.ParameterDict({"W_U": torch.randn(D, OUT)})

    def forward(self, tokens: Tensor) -> Tensor:
        a: Any = self.blocks[0]["attn"]  # type: ignore[index]
        m: Any = self.blocks[0]["mlp"]  # type: ignore[index]
        x = self.embed["W_E"].T[tokens] + self.pos_embed["W_pos"][: tokens.shape[1]]
        q, k, v = (torch.einsum("ihd,bpd->biph", a[f"W_{each}"], x) for each in "QKV")
        z = attend(q, k, v).transpose(1, 2).flatten(2)
        x = x + torch.einsum("df,bpf->bpd", a["W_O"], z)
        x = x + F.relu(x @ m["W_in"].T + m["b_in"]) @ m["W_out"].T + m["b_out"]
        return x @ self.unembed["W_U"]


class Conv1D(nn.Module):
    """x W + b with W in x out, as GPT-2 has it."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(n_in, n_out)), nn.Parameter(torch.randn(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class FusedAttention(nn.Module):
    def __init__(self, linear: Any) -> None:
        super().__init__()
        self.c_attn, self.c_proj = linear(D, 3 * D), linear(D, D)
        self.register_buffer("bias", torch.ones(CTX, CTX).tril().view(1, 1, CTX, CTX))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (each.unflatten(2, (HEADS, -1)).transpose(1, 2) for each in self.c_attn(x).split(D, dim=2))
        found: Tensor = self.c_proj(attend(q, k, v).transpose(1, 2).flatten(2))
        return found


class GPT(nn.Module):
    """The names of nanoGPT (linear = nn.Linear) and of GPT-2 (linear = Conv1D), two blocks."""

    def __init__(self, linear: Any, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.act = act

        def block() -> nn.ModuleDict:
            mlp = nn.ModuleDict({"c_fc": linear(D, MLP), "c_proj": linear(MLP, D)})
            return nn.ModuleDict(
                {"ln_1": nn.LayerNorm(D), "attn": FusedAttention(linear), "ln_2": nn.LayerNorm(D), "mlp": mlp}
            )

        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(V, D),
                "wpe": nn.Embedding(CTX, D),
                "h": nn.ModuleList([block(), block()]),
                "ln_f": nn.LayerNorm(D),
            }
        )
        self.lm_head = nn.Linear(D, V, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        t: Any = self.transformer
        x = t["wte"](tokens) + t["wpe"](torch.arange(tokens.shape[1]))
        for block in t["h"]:
            x = x + block["attn"](block["ln_1"](x))
            x = x + block["mlp"]["c_proj"](self.act(block["mlp"]["c_fc"](block["ln_2"](x))))
        found: Tensor = self.lm_head(t["ln_f"](x))
        return found


class Encoder(nn.Module):
    """nn.TransformerEncoder between embeddings and one linear layer."""

    def __init__(self, causal: bool = False, norm_first: bool = False, final: bool = False, act: str = "relu") -> None:
        super().__init__()
        self.causal = causal
        self.embed, self.pos_embed = nn.Embedding(V, D), nn.Embedding(CTX, D)
        layer = nn.TransformerEncoderLayer(D, HEADS, MLP, 0.0, act, batch_first=True, norm_first=norm_first)
        norm = nn.LayerNorm(D) if final else None
        self.encoder = nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False)
        self.head = nn.Linear(D, OUT)

    def forward(self, tokens: Tensor) -> Tensor:
        k = tokens.shape[1]
        x = self.embed(tokens) + self.pos_embed(torch.arange(k))
        mask = torch.ones(k, k, dtype=torch.bool).triu(1) if self.causal else None
        found: Tensor = self.head(self.encoder(x, mask))
        return found


class OwnBlocks(nn.Module):
    """Blocks of one's own around nn.MultiheadAttention, with a mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.tok_emb, self.pos_emb = nn.Embedding(V, D), nn.Parameter(torch.randn(1, CTX, D))

        def block() -> nn.ModuleDict:
            mlp = nn.Sequential(nn.Linear(D, MLP), nn.SiLU(), nn.Linear(MLP, D))
            attention = nn.MultiheadAttention(D, HEADS, batch_first=True)
            return nn.ModuleDict({"norm1": nn.LayerNorm(D), "attn": attention, "norm2": nn.LayerNorm(D), "mlp": mlp})

        self.blocks = nn.ModuleList([block(), block()])
        self.out = nn.Linear(D, OUT)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tok_emb(tokens) + self.pos_emb[:, : tokens.shape[1]]
        for block in self.blocks:
            parts: Any = block
            y = parts["norm1"](x)
            x = x + parts["attn"](y, y, y, need_weights=False)[0]
            x = x + parts["mlp"](parts["norm2"](x))
        found: Tensor = self.out(x.mean(1))
        return found


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.W_Q, self.W_K, self.W_V = (nn.Linear(D, WIDTH, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return attend(self.W_Q(x), self.W_K(x), self.W_V(x))


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([Head() for _ in range(3)])
        self.W_O = nn.Linear(3 * WIDTH, D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.W_O(torch.cat([head(x) for head in self.heads], -1))
        return found


class ModuleAHead(nn.Module):
    """One module for each of three heads, two layers, no MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.tok_embed, self.pos_embed = nn.Embedding(V, D), nn.Embedding(CTX, D)
        self.layers = nn.ModuleList([Layer(), Layer()])
        self.unembed = nn.Linear(D, V, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tok_embed(tokens) + self.pos_embed(torch.arange(tokens.shape[1]))
        for layer in self.layers:
            x = x + layer(x)
        found: Tensor = self.unembed(x)
        return found


class SumOverPositions(nn.Module):
    """The transformer of verified-circuits: no norm, a sum over positions, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(V, D), nn.Parameter(torch.randn(CTX, D))

        def block() -> nn.ModuleDict:
            linear = {f"W{x}": nn.Linear(D, D, bias=False) for x in "qkvo"}
            return nn.ModuleDict({**linear, "mlp1": nn.Linear(D, MLP), "mlp2": nn.Linear(MLP, D)})

        self.blocks = nn.ModuleList([block(), block()])
        self.h1, self.h2 = nn.Linear(D, 9), nn.Linear(9, OUT)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tok(tokens) + self.pos[: tokens.shape[1]]
        for block in self.blocks:
            b: Any = block
            q, k, v = (b[f"W{each}"](x).unflatten(2, (HEADS, -1)).transpose(1, 2) for each in "qkv")
            x = x + b["Wo"](attend(q, k, v).transpose(1, 2).flatten(2))
            x = x + b["mlp2"](F.relu(b["mlp1"](x)))
        found: Tensor = self.h2(F.relu(self.h1(x.sum(1))))
        return found
