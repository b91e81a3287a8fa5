"""python -m checker MODEL CERT ..., and the entry point of check-cert.pyz."""

import sys

from checker.cli import main

sys.exit(main())
