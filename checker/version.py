"""The one place of the version. The rest of the distribution reads it from here when it is built."""

__version__ = "0.2.0"
