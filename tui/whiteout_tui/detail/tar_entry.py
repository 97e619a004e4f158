"""Tar entry: the headers that a row becomes, byte for byte, and where in the tar they are."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content

from whiteout.display import display_name
from whiteout.layerindex import NoEntry, PlacedEntry, TarAnswer, tar_entry
from whiteout.tarfields import HeaderBlock, decode_header
from whiteout_tui.detail.lines import MUTED, heading, joined, labelled, paragraph, section, trouble
from whiteout_tui.detail.question import Drawing, Indexing, Question
from whiteout_tui.printable import hex_lines, row_for

_COMPUTING = "being computed…"
_ABSENCES = {
    NoEntry.NOT_RECORDED: "There is no entry: it is not recorded in the layer. Why tells why.",
    NoEntry.NOTHING_BELOW: "There is no entry: the directory is unchanged, and nothing below it is"
    " recorded.",
    NoEntry.NO_OTHER_NAME: "There is no entry: the file is unchanged, and no other name of it is"
    " recorded that this one could be a link to.",
    NoEntry.SOCKET: "There is no entry: a tar archive cannot hold a socket.",
    NoEntry.UNREADABLE: "There is no entry: it cannot be read, and so no layer is exported.",
}
_UNDECIDED = (
    "What becomes of it depends on other entries: a directory is written before the first recorded"
    " one below it, and of the names of a file the first one recorded holds the content."
)


def load_tar_entry(question: Question, show: Callable[[Drawing], None]) -> None:
    """Ask what the layer gets.

    Raises:
        ReadError: the entry cannot be read.
    """
    indexing = question.indexing
    answer = tar_entry(question.snapshot, question.path, indexing.index, question.cancel)
    show(lambda width: draw_tar_entry(answer, indexing, width))


def draw_tar_entry(answer: TarAnswer, indexing: Indexing, width: int) -> Content:
    """The headers in lines of *width* cells, or why there are none."""
    parts: list[Content] = []
    if indexing.failure is not None:
        parts.append(trouble(f"No layer is exported: {indexing.failure}", width))
    if answer.no_entry is not None:
        parts.append(paragraph(_ABSENCES[answer.no_entry], width))
        return joined(*parts)
    if answer.entry is None:
        parts.append(paragraph(_UNDECIDED, width))
        if indexing.failure is None:
            parts.append(paragraph(_COMPUTING, width, MUTED))
        return joined(*parts)
    parts.extend(_placed(answer.entry, indexing, width))
    for parent in answer.parents:
        text = f"Before it {display_name(parent.header.name)} at {parent.offset:,}, for its sake"
        parts.append(paragraph(text, width, MUTED))
    blocks = decode_header(answer.entry.header.encode())
    for block in blocks:
        parts.extend(_block(block, block is blocks[-1], width))
    parts.append(section("Byte for byte"))
    start = answer.entry.offset or 0
    parts.append(Content("\n".join(_squeezed(answer.entry.header.encode(), start, width))))
    return joined(*parts)


def _placed(entry: PlacedEntry, indexing: Indexing, width: int) -> list[Content]:
    if entry.offset is not None:
        offset = f"{entry.offset:,}"
        if indexing.index is not None:
            offset += f" of {indexing.index.size:,}"
    else:
        offset = _COMPUTING if indexing.failure is None else "none"
    content = entry.header.size
    takes = f"{entry.padded_size:,} bytes: header {entry.header_size:,}"
    if content:
        takes += f" + content {content:,} + padding {-content % 512:,}"
    return [
        heading(display_name(entry.header.name)),
        labelled("offset", offset, width),
        labelled("takes", takes, width),
    ]


def _block(block: HeaderBlock, last: bool, width: int) -> list[Content]:
    parts = [section("The header" if last else "Before it, a header for PAX records")]
    parts.extend(
        labelled(field.name, field.text or "(empty)", width, style="" if field.text else MUTED)
        for field in block.fields
    )
    if block.records:
        parts.append(section("PAX records, which hold what the header cannot"))
    for key, value in block.records:
        parts.append(paragraph(f"{key} = {value}", width))
    return parts


def _squeezed(data: bytes, start: int, width: int) -> list[str]:
    """Lines of hexadecimal; of further lines of zeros there is only a ``*``."""
    row = row_for(width)
    lines = []
    zeros = False
    for position, line in enumerate(hex_lines(data, start, row)):
        zero = not any(data[position * row : (position + 1) * row])
        if not zero or not zeros:
            lines.append(line)
        elif lines[-1] != "*":
            lines.append("*")
        zeros = zero
    return lines
