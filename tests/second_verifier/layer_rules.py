"""regions, region_gaps and region_counts as steps of a certificate; what they compute is in regions.py."""

from typing import Any

from tests.second_verifier.refusal import require
from tests.second_verifier.regions import Verifier
from tests.second_verifier.setting import Setting, Stated
from tests.support.any_oracle import precision

Args = dict[str, Any]


def working_bits(bits: int) -> int:
    return 2 * bits + 300


def require_layer(setting: Setting) -> None:
    """A model with one attention layer, as in section 5."""
    a = setting.architecture
    norms = "post" not in a["norms"] and (not a["norms"] or a["activation"] == "none")
    fits = a["blocks"] == 1 and a["pool"] == "none" and a["readout_layers"] == 0 and norms
    require(fits, "wrong-problem", "rule")


def verifier_of(setting: Setting, bits: int) -> Verifier:
    """Tables do not depend on the margin."""
    key = str(setting.problem), bits, setting.margin
    made = setting.model.verifiers
    if key not in made:
        made[key] = Verifier(setting, bits)
        made[key].tables = setting.model.tables.setdefault((str(setting.problem), bits), {})
    return made[key]


def regions(setting: Setting, premises: list[Stated], args: Args) -> Any:
    require_layer(setting)

    def entails(stated: Any, path: str) -> None:
        with precision(working_bits(args["bits"])):
            verifier_of(setting, args["bits"]).regions(args, stated)

    return entails


def region_gaps(setting: Setting, premises: list[Stated], args: Args) -> Any:
    require_layer(setting)
    fact = premises[0].fact

    def entails(stated: Any, path: str) -> None:
        with precision(working_bits(fact["bits"])):
            verifier = verifier_of(setting, fact["bits"])
            verifier.gaps(list(verifier.regions_of(fact["groups"])), fact, args, stated)

    return entails


def region_counts(setting: Setting, premises: list[Stated], args: Args) -> Any:
    require_layer(setting)
    fact = premises[0].fact
    bits, groups = fact["regions"]["bits"], fact["regions"]["groups"]
    with precision(working_bits(bits)):
        verifier = verifier_of(setting, bits)
        return {"counts": verifier.counts(list(verifier.regions_of(groups)), fact, args)}
