"""Names of people and places, which have no form of their own: told by Presidio, with a language model of spaCy.

An extra, `penstock[presidio]`, and a model that is installed beside it; nothing is fetched. It reads whole texts, and
takes a hundred times as long as what is told by form.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .finding import Span
from .width import ENDLESS

#: What Presidio calls the kinds.
_ENTITIES = {"person": "PERSON", "place": "LOCATION"}
KINDS = frozenset(_ENTITIES)


class Names:
    """A detector of persons and places. Whether a word is a name may depend on all of a text."""

    reach = ENDLESS

    def __init__(self, kinds: Collection[str], model: str) -> None:
        """`model` is a package of spaCy, or a folder. Raises ConfigError where it or Presidio is not installed."""
        self._language = Path(model).name[:2]
        self._kinds = {_ENTITIES[kind]: kind for kind in _ENTITIES if kind in kinds}
        self._engine = _engine(model, self._language)
        #: The last text and what is in it: one value, so that threads see both or neither change.
        self._last: tuple[str, list[Span]] = ("", [])

    def search(self, text: str, at: int) -> Span | None:
        known, spans = self._last
        if known != text:
            spans = self._spans(text)
            self._last = text, spans
        return next((span for span in spans if span.start >= at), None)

    def open_from(self, text: str, at: int) -> int:
        return at

    def _spans(self, text: str) -> list[Span]:
        found = self._engine.analyze(text=text, language=self._language, entities=list(self._kinds))
        return sorted(
            (Span(self._kinds[one.entity_type], one.start, one.end) for one in found), key=lambda one: one.start
        )


def _engine(model: str, language: str) -> Any:
    try:
        spacy: Any = importlib.import_module("spacy")
        presidio: Any = importlib.import_module("presidio_analyzer")
        engines: Any = importlib.import_module("presidio_analyzer.nlp_engine")
    except ImportError:
        raise ConfigError(
            "To find persons and places needs Presidio, which is not installed.",
            code="extra_missing",
            fix="Run `pip install 'penstock[presidio]'`, or leave them out of `pii_kinds`.",
        ) from None
    if not spacy.util.is_package(model) and not Path(model).is_dir():  # Presidio itself would fetch it
        raise ConfigError(
            f"To find persons and places needs the model {model} of spaCy, which is not installed.",
            code="extra_missing",
            fix=f"Install the package {model}, name another `pii_model`, or leave them out of `pii_kinds`.",
        )
    models = [{"lang_code": language, "model_name": model}]
    provider = engines.NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    return presidio.AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=[language])
