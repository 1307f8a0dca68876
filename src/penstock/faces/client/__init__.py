"""The face under the official SDK: `penstock.wrap`."""

from .wrapping import wrap

__all__ = ["wrap"]
