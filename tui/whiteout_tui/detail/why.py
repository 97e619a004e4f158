"""Why: the steps that led to the verdict, with the facts compared, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.content import Content

from whiteout.comparison import Fact
from whiteout.errors import Cancelled, WhiteoutError
from whiteout.removal import Removal, removal, removes_below
from whiteout.steps import Question as Step
from whiteout.steps import steps_of
from whiteout.verdicts import Verdict
from whiteout.wording import effect_sentence, fact_text, headline, step_sentence
from whiteout_tui.detail.lines import CHANGED, MUTED, joined, trouble
from whiteout_tui.detail.question import Drawing, Question
from whiteout_tui.detail.terms import main_term, mark_terms
from whiteout_tui.formats import exact_size
from whiteout_tui.legend import KINDS
from whiteout_tui.rowdata import kind_of
from whiteout_tui.status import COLOURS
from whiteout_tui.words import words_of, wrap


def load_why(question: Question, show: Callable[[Drawing], None]) -> None:
    """Ask for the verdict, and count what a directory that is gone takes along.

    Raises:
        ReadError: it cannot be read.
    """
    snapshot, path, cancel = question.snapshot, question.path, question.cancel
    verdict = snapshot.inspect(path, cancel=cancel).verdict
    if not removes_below(verdict):
        show(Why(verdict))
        return

    def tell(found: Removal) -> None:
        show(Why(verdict, found))

    tell(Removal())
    try:
        tell(removal(snapshot, path, cancel=cancel, report=tell))
    except Cancelled:
        raise
    except (OSError, WhiteoutError) as error:
        show(Why(verdict, failure=words_of(error)))


@dataclass(frozen=True, slots=True)
class Why:
    """The tab of one entry; ``removed`` is what is gone below it, ``failure`` why that is unknown.

    ``removed`` is None for what takes nothing along.
    """

    verdict: Verdict
    removed: Removal | None = None
    failure: str | None = None

    @property
    def term(self) -> str:
        """The word of the glossary to begin with."""
        return main_term(self.verdict)

    def __call__(self, width: int) -> Content:
        """The verdict, what follows, and the steps that led there, in lines of *width* cells."""
        verdict = self.verdict
        parts = [draw_verdict(verdict, width)]
        if verdict.error is not None:
            parts.append(trouble(verdict.error, width))
        parts.append(_effect(verdict, width))
        if self.failure is not None:
            parts.append(trouble(f"What is gone below it is not known: {self.failure}", width))
        elif self.removed is not None:
            parts.append(_pointed(f"Gone below it: {removal_text(self.removed)}", width))
        parts.append(Content(""))
        parts.extend(_steps(verdict, width))
        return mark_terms(joined(*parts))


def removal_text(removed: Removal) -> str:
    """How much is gone, as far as it is known."""
    entries, size = removed.gone.entries, removed.gone.size
    if not removed.complete:
        return f"counting… {entries:,} entries, {exact_size(size)}" if entries else "counting…"
    amount = f"{entries:,} {'entry' if entries == 1 else 'entries'}, {exact_size(size)}"
    if removed.unreadable:
        return f"at least {amount}; what {removed.unreadable:,} more held could not be read"
    return f"{amount} of content" if entries else "nothing"


def draw_verdict(verdict: Verdict, width: int) -> Content:
    """The letter and the verdict in one sentence."""
    kind = kind_of(verdict)
    colour = COLOURS[kind]
    return joined(
        *(
            Content.assemble(
                (f"{KINDS[kind].letter} " if number == 0 else "  ", f"bold {colour}"),
                (line, f"bold {colour}"),
            )
            for number, line in enumerate(wrap(headline(verdict), width - 2))
        )
    )


def _steps(verdict: Verdict, width: int) -> list[Content]:
    lines: list[Content] = []
    for number, step in enumerate(steps_of(verdict), 1):
        for position, line in enumerate(wrap(step_sentence(step, facts_follow=True), width - 3)):
            lead = f"{number:>2} " if position == 0 else "   "
            lines.append(Content.assemble((lead, MUTED), line))
        if step.question is Step.SAME:
            lines.extend(_fact(fact, width) for fact in step.facts)
    return lines


def _fact(fact: Fact, width: int) -> Content:
    style = MUTED if fact.equal or fact.field == "inode" else CHANGED
    first, *rest = wrap(fact_text(fact), width - 5)
    sign = "=" if fact.equal else "≠"
    return Content.styled(
        "\n".join([f"   {sign} {first}", *(f"     {line}" for line in rest)]), style
    )


def _effect(verdict: Verdict, width: int) -> Content:
    return _pointed(effect_sentence(verdict), width)


def _pointed(text: str, width: int) -> Content:
    first, *rest = wrap(text, width - 2)
    return Content.assemble(
        ("→ ", "bold $text-primary"), "\n".join([first, *(f"  {line}" for line in rest)])
    )
