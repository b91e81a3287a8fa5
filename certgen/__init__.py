"""The untrusted side: search for a proof and write it down. `checker` decides whether it holds."""

from certgen.certificate.statement import Certificate
from certgen.models.model_file import Model, load_model
from certgen.proving import prove

__all__ = ["Certificate", "Model", "load_model", "prove"]
