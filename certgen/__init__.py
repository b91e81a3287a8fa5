"""The untrusted side: search for a proof and write it down. `checker` decides whether it holds."""

from importlib.metadata import version

from certgen.certificate.statement import Certificate
from certgen.models.model_file import Model, load_model
from certgen.problem import load_problem
from certgen.proving import prove

__all__ = ["Certificate", "Model", "__version__", "load_model", "load_problem", "prove"]

__version__ = version("compact-proofs")
