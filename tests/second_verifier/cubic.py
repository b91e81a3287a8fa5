"""cubic_tokens: which tokens may stand beside the maximum."""

from typing import Any

from tests.second_verifier.exponentials import add, product, sign, term, times
from tests.second_verifier.facts import rows_of
from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated


def cubic_tokens(setting: Setting, premises: list[Stated], args: dict[str, Any]) -> dict[str, Any]:
    one = setting.model.one_head
    u, c = rows_of(premises[0].fact), rows_of(premises[1].fact)
    for table in (u, c):
        require([len(row) for row in table] == list(range(1, one.v + 1)), "wrong-shape", "premises")

    def accepted(m: int, q: int, n: int, t: int) -> bool:
        scores, positions = one.token_scores[q], one.position_scores[q]
        before = sorted(positions[:-1])
        beta = {s: term(scores[s], u[m][q] + c[m][s]) for s in {t, m, q}}
        own = times(beta[q], 1, positions[-1])
        cut = len(before) - n
        for chosen, rest in ((before[:n], before[n:]), (before[cut:], before[:cut])):
            A, others = add(term(s) for s in chosen), add(term(s) for s in rest)
            if sign(add([product(A, beta[t]), product(others, beta[m]), own]), one.h) >= 0:
                return False
        return True

    masks = [
        [[sum(1 << t for t in range(m) if accepted(m, q, n, t)) for n in one.ns(m, q) if n > 0] for q in range(m + 1)]
        for m in range(one.v)
    ]
    return {"masks": masks}
