"""The face under the official SDK: `penstock.wrap`, and `penstock.parsed` for answers as objects."""

from .typed import Unparsed, parsed
from .wrapping import wrap

__all__ = ["Unparsed", "parsed", "wrap"]
