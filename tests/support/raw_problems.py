"""Random problems, as a problem file has them."""

from typing import Any

from hypothesis import strategies as st


@st.composite
def problems(draw: st.DrawFn, name: str, weighted: bool = False) -> tuple[dict[str, Any], int]:
    """A problem with this label, and d_vocab; some tokens have weights, and some a readout, if `weighted`."""
    v, k = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    entries = st.lists(st.integers(0, v - 1), min_size=1, max_size=3, unique=True)
    label: dict[str, Any] = {"name": name}
    if draw(st.booleans()):
        label["of"] = draw(st.lists(st.integers(0, k - 1), min_size=1, unique=True).map(sorted))
    if name == "nth-largest":
        label["n"] = draw(st.integers(1, len(label.get("of", range(k)))))
    if name == "sum-mod":
        label["modulus"] = draw(st.integers(1, 20))
    if name == "contains":
        label["token"] = draw(st.integers(0, v - 1))
    if name == "automaton":
        states = draw(st.integers(1, 4))
        label["states"], label["start"] = states, draw(st.integers(0, states - 1))
        row = st.lists(st.integers(0, states - 1), min_size=v, max_size=v)
        label["next"] = draw(st.lists(row, min_size=states, max_size=states))
        label["output"] = draw(st.lists(st.integers(0, 9), min_size=states, max_size=states))
    problem: dict[str, Any] = {"inputs": [{"tokens": draw(entries)} for _ in range(k)], "label": label}
    if weighted:
        for entry in problem["inputs"]:
            weights = st.lists(st.integers(0, 1 << 40), min_size=len(entry["tokens"]), max_size=len(entry["tokens"]))
            if draw(st.booleans()):
                entry["weights"] = draw(weights.filter(any))
        if draw(st.booleans()):
            problem["readout"] = draw(st.integers(0, k - 1))
    return problem, v
