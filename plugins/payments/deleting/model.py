"""What can be deleted although it is approved, in the same words for all kinds: pure."""

from __future__ import annotations

from dataclasses import dataclass

from kernel import Money, Text


@dataclass(frozen=True, slots=True)
class Doomed:
    """Approved data about to be deleted. ``number`` is what people call it; ``entries`` of ``amount`` would be voided.

    ``name`` is what is known of it besides; ``gone``: it was deleted already.
    """

    id: int
    account: int
    number: str
    name: str
    customer: int | None
    entries: int
    drafts: int
    amount: Money
    gone: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """The words of one kind of approved data: the question, what will happen, the button, what is said afterwards."""

    question: Text
    consequence: Text
    button: Text
    done: Text
    verb: str
