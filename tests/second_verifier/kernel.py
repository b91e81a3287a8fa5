"""Section 6: the whole check. Success is returned in one place, at the end."""

from fractions import Fraction
from typing import Any, NamedTuple

from tests.second_verifier.certificate import read_certificate
from tests.second_verifier.facts import KINDS
from tests.second_verifier.model_file import read_model
from tests.second_verifier.problem import fitting, is_max_of_k, normal_form, task
from tests.second_verifier.refusal import Refused, require
from tests.second_verifier.rules import RULES, Rule
from tests.second_verifier.setting import Model, Setting, Stated
from tests.second_verifier.strict_json import parse

CONCLUSIONS = {"exact-real": "Accuracy", "float32-any-order": "Float32Accuracy"}  # by semantics


class Verdict(NamedTuple):
    """What was verified."""

    correct: int
    wrong: int
    total: int


class SecondVerifier:
    """Models, and steps that have been derived, are kept: many certificates share them."""

    def __init__(self) -> None:
        self.models: dict[bytes, Model] = {}
        self.seen: dict[str, Refused | None] = {}

    def model(self, data: bytes) -> Model:
        if data not in self.models:
            self.models[data] = Model(read_model(data))
        return self.models[data]

    def verify(self, model_data: bytes, data: bytes, problem_data: bytes | None = None) -> Verdict:
        """Return, or raise Refused."""
        model = self.model(model_data)
        asked = None if problem_data is None else task(parse(problem_data), "")
        certificate = read_certificate(data)
        predicate = certificate["predicate"]
        setting = self.compared(model, certificate, asked)
        claim, steps = predicate["claim"], predicate["steps"]
        proved: list[Stated] = []
        for number, step in enumerate(steps):
            at = setting.at(Fraction(step.get("margin", predicate["margin"])))
            rule, path = RULES[step["rule"]], f"predicate.steps[{number}]"
            premises = self.premises(at, rule, step["premises"], proved, path)
            self.derive(at, rule, premises, step, path)
            proved.append(Stated(rule.concludes, step["conclusion"], at.margin))
        wanted = "Profile" if "profile" in claim else CONCLUSIONS[predicate["semantics"]]
        require(bool(proved) and proved[-1].kind == wanted, "nothing-proved", "predicate.steps")
        require(proved[-1].margin == setting.margin, "wrong-margin", f"predicate.steps[{len(steps) - 1}]")
        KINDS[wanted].entails(proved[-1].fact, claim, "predicate.claim")
        return Verdict(claim["correct"], claim["wrong"], claim["total"])

    def compared(self, model: Model, certificate: Any, asked: Any) -> Setting:
        """Step 2 of the kernel."""
        file, predicate = model.file, certificate["predicate"]
        stated, path = dict(predicate["model"]), "predicate.model"
        require(
            certificate["subject"][0]["digest"]["sha256"] == file.digest, "model-digest", "subject[0].digest.sha256"
        )
        require(stated.pop("tensors") == file.digests, "tensor-digest", f"{path}.tensors")
        require(stated == file.sizes, "wrong-size", path)
        given = fitting(predicate["task"], file)
        if asked is not None:
            same = normal_form(fitting(asked, file), file) == normal_form(given, file)
            require(same, "other-problem", "predicate.task")
        margin = Fraction(predicate["margin"])
        setting = Setting(model, given, is_max_of_k(given, file), margin)
        require(predicate["claim"]["total"] == setting.total, "wrong-total", "predicate.claim.total")
        return setting

    def premises(self, at: Setting, rule: Rule, numbers: list[int], proved: list[Stated], path: str) -> list[Stated]:
        """Step 3, 1 and 2."""
        for index, number in enumerate(numbers):
            require(0 <= number < len(proved), "bad-premise", f"{path}.premises[{index}]")
        require(at.max_of_k or rule.any_problem, "wrong-problem", f"{path}.rule")
        given = [proved[number] for number in numbers]
        kinds = [premise.kind for premise in given]
        fits = bool(kinds) and set(kinds) == set(rule.premises) if rule.several else kinds == list(rule.premises)
        require(fits, "wrong-premises", f"{path}.premises")
        if not rule.any_margins:
            for index, premise in enumerate(given):
                require(premise.margin == at.margin, "wrong-margin", f"{path}.premises[{index}]")
        return given

    def derive(self, at: Setting, rule: Rule, premises: list[Stated], step: Any, path: str) -> None:
        """Step 3, 3 and 4; what was found before is found again."""
        key = repr(
            (at.model.file.digest, at.problem, at.margin, premises, step["rule"], step["args"], step["conclusion"])
        )
        if key not in self.seen:
            try:
                derived = rule.derive(at, premises, step["args"])
                KINDS[rule.concludes].entails(derived, step["conclusion"], "conclusion")
                self.seen[key] = None
            except Refused as refused:
                self.seen[key] = refused
        found = self.seen[key]
        if found is not None:
            raise Refused(found.code, f"{path}.{found.path}")
