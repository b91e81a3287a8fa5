"""The untrusted side: search for a proof and write it down. `checker` decides whether it holds."""

from certgen.certificate import Certificate
from certgen.models import Model, load_model
from certgen.proving import prove

__all__ = ["Certificate", "Model", "load_model", "prove"]
