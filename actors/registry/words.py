"""What each instance of a model says of the model, and which word counts. Pure.

Instances may disagree, in a rolling update above all. The word put last counts, and among all the
words only of those that serve: who is about to leave is believed only while nobody else is left.
An instance that goes takes its word along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from actors.engines.pool import ModelSpec

__all__ = ["SILENCE", "Word", "Words"]


@dataclass(frozen=True, slots=True)
class Word:
    """What one instance says, and whether it is about to leave."""

    instance: str
    spec: ModelSpec
    draining: bool


@dataclass(frozen=True, slots=True)
class Words:
    """One word for each instance that said one, the oldest in front. Changes make new records.

    PERF: a change copies them all; a model has tens of instances, and a thousand cost 50 µs.
    """

    said: tuple[Word, ...] = ()

    def put(self, instance: str, spec: ModelSpec | None, *, draining: bool) -> Words:
        """``instance`` says ``spec``; ``None`` repeats what it said before, if it did.

        Who serves has the last word. Who drains keeps the place that it has.
        """
        said = [*self.said]
        at = next((at for at, word in enumerate(said) if word.instance == instance), len(said))
        if spec is None:
            if at == len(said):
                return self
            spec = said[at].spec
        word = Word(instance, spec, draining)
        if draining:
            said[at : at + 1] = [word]
        else:
            del said[at : at + 1]
            said.append(word)
        return Words(tuple(said))

    def drop(self, instance: str) -> Words:
        """``instance`` says nothing any more."""
        return Words(tuple(word for word in self.said if word.instance != instance))

    def spec(self, otherwise: ModelSpec) -> ModelSpec:
        """The word that counts; ``otherwise`` if nobody said one."""
        for word in reversed(self.said):
            if not word.draining:
                return word.spec
        return self.said[-1].spec if self.said else otherwise


SILENCE: Final = Words()
"""Nobody said anything."""
