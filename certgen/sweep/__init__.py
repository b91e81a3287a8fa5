"""Every model times every strategy, proved and checked: `sweep`. Needs the extra `sweep`."""

from certgen.sweep.run import Failure, Sweep, sweep

__all__ = ["Failure", "Sweep", "sweep"]
