# %% [markdown]
# # From a model to a verified bound
#
# Run this from the repository, as a script or cell by cell. It needs the base installation only; the figure at the end
# is drawn if plotly is there (`.venv/bin/pip install -c constraints.txt --editable '.[report]'`).

# %%
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from certgen import Certificate, load_model, prove
from certgen.length import proof_length
from certgen.models.circuits import Circuits
from checker import Refusal, check

path = Path("models/max-of-4-seed-123.safetensors")
output = Path(tempfile.mkdtemp())
model = load_model(path)
print(f"max-of-{model.n_ctx} over {model.d_vocab} tokens, sha256 {model.sha256[:16]}…")

# %% [markdown]
# ## The circuits
#
# `EUPU[q, y]`: what the query token itself adds to the logit of y. `EVOU[t, y]`: what attending to token t adds.
# `scores[q, t]`: how strongly query q attends to t, before division by the root of d_head. The tables are exact;
# `.floats()` rounds them for looking at.

# %%
circuits = Circuits(model, margin=Fraction(0))
EUPU, EVOU, scores = (table.floats() for table in (circuits.EUPU, circuits.EVOU, circuits.token_scores))
tokens = np.arange(model.d_vocab)
copied = (EVOU.argmax(axis=1) == tokens).sum()
rising = np.mean(np.diff(scores, axis=1) > 0)
sizes = np.linalg.svd(scores - scores.mean(axis=1, keepdims=True), compute_uv=False)
print(f"{copied} of {model.d_vocab} tokens raise their own logit most when attended to")
print(f"the next larger token gets more attention in {rising:.1%} of all cases")
print(f"the scores are nearly of rank 1: singular values {sizes[0]:.0f}, {sizes[1]:.1f}, {sizes[2]:.1f}, …")
print(
    f"the direct path has a spread of {np.ptp(EUPU, axis=1).max():.1f} logits, the value path one of {np.ptp(EVOU):.0f}"
)

# %% [markdown]
# ## Proofs by several strategies
#
# What the search says is a claim; `check` derives it again, from the two files, with integers only. The proof length is
# the number of operations that this takes.

# %%
strategies = {
    "sub-cubic": "sub-cubic/mean-query+max-diff/mean-query+diff/exact-EQKE",
    "separable-by-max": "separable-by-max",
    "cubic": "cubic",
}
proofs: dict[str, tuple[float, int]] = {}


def verified(name: str, certificate: Certificate) -> None:
    """Save, check and measure a certificate."""
    file = output / f"{name}.cert.json.gz"
    certificate.save(file)
    verdict = check(str(path), str(file))
    proofs[name] = verdict.correct / verdict.total, proof_length(path, file).total
    print(f"{name:>16}: {proofs[name][0]:.5f} proved by {proofs[name][1]:,} operations")


for name, strategy in strategies.items():
    verified(name, prove(model, strategy))
verified("adaptive", prove(model, "adaptive", target="0.985"))

# %% [markdown]
# ## A claim that is too good
#
# One sequence more than was proved, and the checker refuses, with the place and the reason.

# %%
certificate = Certificate.load(output / "cubic.cert.json.gz")
honest = certificate.predicate.claim.correct
raised = certificate.to_bytes().replace(f'"correct": {honest}'.encode(), f'"correct": {honest + 1}'.encode())
(output / "raised.cert.json").write_bytes(raised)
try:
    check(str(path), str(output / "raised.cert.json"))
    raise SystemExit("a false claim was accepted")
except Refusal as refusal:
    print(refusal.word, refusal)

# %% [markdown]
# ## Bound against length

# %%
try:
    import plotly.graph_objects as go
except ImportError:
    print("no figure: plotly is not installed")
else:
    figure = go.Figure(
        layout={"xaxis": {"title": "proof length", "type": "log"}, "yaxis": {"title": "accuracy proved"}}
    )
    for name, (bound, length) in proofs.items():
        figure.add_scatter(x=[length], y=[bound], name=name, mode="markers", marker_size=12)
    figure.write_html(output / "bound-against-length.html")
    print(f"figure: {output / 'bound-against-length.html'}")
