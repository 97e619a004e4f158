"""Why: the steps that led to the verdict, with the facts compared, and what follows."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content

from whiteout.comparison import Fact
from whiteout.metadata import Inspection
from whiteout.steps import Question as Step
from whiteout.steps import steps_of
from whiteout.verdicts import Verdict
from whiteout.wording import effect_sentence, fact_text, headline, step_sentence
from whiteout_tui.detail.lines import CHANGED, MUTED, joined, trouble
from whiteout_tui.detail.question import Drawing, Question
from whiteout_tui.legend import KINDS
from whiteout_tui.rowdata import kind_of
from whiteout_tui.status import COLOURS
from whiteout_tui.words import wrap


def load_why(question: Question, show: Callable[[Drawing], None]) -> None:
    """Ask for the verdict.

    Raises:
        ReadError: it cannot be read.
    """
    inspection = question.snapshot.inspect(question.path, cancel=question.cancel)
    show(lambda width: draw_why(inspection, width))


def draw_why(inspection: Inspection, width: int) -> Content:
    """The verdict, what follows, and the steps that led there, in lines of *width* cells."""
    verdict = inspection.verdict
    parts = [draw_verdict(verdict, width)]
    if verdict.error is not None:
        parts.append(trouble(verdict.error, width))
    parts.extend((_effect(verdict, width), Content("")))
    parts.extend(_steps(verdict, width))
    return joined(*parts)


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
        for position, line in enumerate(wrap(step_sentence(step), width - 3)):
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
    first, *rest = wrap(effect_sentence(verdict), width - 2)
    return Content.assemble(
        ("→ ", "bold $text-primary"), "\n".join([first, *(f"  {line}" for line in rest)])
    )
