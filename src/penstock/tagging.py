"""What a call is for, said around the code that makes it.

    with penstock.tags(feature="summarise", user="u1"):
        client.messages.create(...)

Kept in a context variable: it follows `await`, tasks and `contextvars.copy_context`, and needs no argument passed
through code that does not care.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .call import Tags

CHARACTERS_MAX = 256

_UNTAGGED = Tags()
_current: ContextVar[Tags] = ContextVar("penstock_tags", default=_UNTAGGED)


@contextmanager
def tags(
    *,
    feature: str | None = None,
    user: str | None = None,
    session: str | None = None,
    segment: str | None = None,
    prompt: str | None = None,
) -> Iterator[Tags]:
    """Tag every call made inside the block. Blocks nest: what an inner one leaves out is taken from the outer.

    Each tag has 1 to 256 printable characters; anything else raises ValueError, before a call is made.
    """
    said = merged(checked(feature, user, session, segment, prompt), _current.get())
    token = _current.set(said)
    try:
        yield said
    finally:
        _current.reset(token)


def current() -> Tags:
    """The tags of the blocks around this line; all None outside of any."""
    return _current.get()


def checked(
    feature: str | None, user: str | None, session: str | None, segment: str | None, prompt: str | None = None
) -> Tags:
    """The tags as one value. Raises ValueError naming the one that cannot be a tag."""
    said = Tags(feature, user, session, segment, prompt)
    for name in Tags.__struct_fields__:
        value = getattr(said, name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise ValueError(f"Tag {name} is a {type(value).__name__}. Give a string, for instance str(user.id).")
        if not value or len(value) > CHARACTERS_MAX or not value.isprintable():
            raise ValueError(
                f"Tag {name} has {len(value)} characters or unprintable ones. "
                f"Give 1 to {CHARACTERS_MAX} printable characters."
            )
    return said


def merged(inner: Tags, outer: Tags) -> Tags:
    """`inner`, with what it leaves out taken from `outer`."""
    if outer is _UNTAGGED or inner == outer:
        return inner
    if inner is _UNTAGGED:
        return outer
    return Tags(
        inner.feature if inner.feature is not None else outer.feature,
        inner.user if inner.user is not None else outer.user,
        inner.session if inner.session is not None else outer.session,
        inner.segment if inner.segment is not None else outer.segment,
        inner.prompt if inner.prompt is not None else outer.prompt,
    )
