"""Completion for bash, zsh and fish: commands, options, and what can be opened.

The scripts ask ``whiteout __complete SHELL WORD…`` for what may stand in place of the last word.
The first line of the answer says what else the shell may offer (``files``, ``directories``), the
others are a word and, after a tab, what it is.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress

from whiteout.arguments import parsers
from whiteout.display import display_text
from whiteout.errors import UsageError, WhiteoutError
from whiteout.layoutfiles import read_index, tag_of
from whiteout.sources.registry import discover, schemes, source_names
from whiteout.sources.root import HOST, Root
from whiteout.sources.stack import Kind

_BASH = """\
_whiteout() {
    local line directives IFS=$'\\n'
    COMPREPLY=()
    {
        read -r directives
        while read -r line; do COMPREPLY+=("${line%%$'\\t'*}"); done
    } < <(whiteout __complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    [[ $directives == *files* ]] && COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
    [[ $directives == *directories* ]] && COMPREPLY+=($(compgen -d -- "${COMP_WORDS[COMP_CWORD]}"))
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:/] ]] && compopt -o nospace
    return 0
}
complete -o bashdefault -F _whiteout whiteout
"""
_ZSH = """\
#compdef whiteout
_whiteout() {
    local -a lines texts shown begun
    local line
    lines=("${(@f)$(whiteout __complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    for line in "${(@)lines[2,-1]}"; do
        [[ -n $line ]] || continue
        [[ $line == *[:/] || $line == *[:/]$'\\t'* ]] && begun+=("${line%%$'\\t'*}") && continue
        texts+=("${line%%$'\\t'*}")
        shown+=("${line/$'\\t'/  -- }")
    done
    (( $#texts )) && compadd -l -d shown -a texts
    (( $#begun )) && compadd -S '' -a begun
    [[ $lines[1] == *files* ]] && _files
    [[ $lines[1] == *directories* ]] && _files -/
    return 0
}
compdef _whiteout whiteout
"""
_FISH = """\
function __whiteout_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (whiteout __complete fish $words[2..-1] 2>/dev/null)
    printf '%s\\n' $lines[2..-1]
    string match -q '*files*' -- $lines[1]; and __fish_complete_path (commandline -ct)
    string match -q '*directories*' -- $lines[1]; and __fish_complete_directories (commandline -ct)
end
complete -c whiteout -f -a '(__whiteout_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

_SINKS = ("oci", "docker-archive", "containers-storage", "containerd", "docker")
_IMAGES = ("oci", "docker-archive", "oci-archive", "docker")
_PATHS = ("oci", "docker-archive", "oci-archive")
_FILES = frozenset({"FILE"})
_DIRECTORIES = frozenset({"DIR"})


def answer(arguments: Sequence[str]) -> Iterator[str]:
    """The lines for a shell, whose name is the first argument; bash gives the whole line then.

    Nothing is offered that is not printable, and for bash every word is quoted.
    """
    shell, *words = arguments or [""]
    typed = ""
    if shell == "bash":
        words, typed = _words_of(words[0] if words else "")
    last = words.pop() if words else ""
    directives, offers = _offers(words, last)
    yield directives
    for text, what in offers:
        if not text.startswith(last) or display_text(text) != text:
            continue
        if shell == "bash":
            # bash begins a new word after a colon, and after = as well
            text = shlex.quote(text[len(typed) :])
            if typed and text == "''":
                continue
        yield f"{text}\t{display_text(what)}" if what else text


def _words_of(line: str) -> tuple[list[str], str]:
    """The words after the program's name, and what bash has cut from the last one."""
    for end in ("", '"', "'"):
        with suppress(ValueError):
            words = shlex.split(line + end)
            break
    else:
        return [""], ""
    if not line or line[-1].isspace():
        words.append("")
    last = words[-1] if len(words) > 1 else ""
    cut = max(last.rfind(":"), last.rfind("=")) + 1
    return words[1:] or [""], last[:cut]


def _offers(words: list[str], last: str) -> tuple[str, list[tuple[str, str]]]:
    known = parsers()
    command = words[0] if words and words[0] in known else ""
    parser = known[command]
    options = {name: action for action in parser._actions for name in action.option_strings}
    before = options.get(words[-1]) if words else None
    if before is not None and before.nargs != 0:
        return _values(before)
    if last.startswith("-"):
        return "", [(name, action.help or "") for name, action in options.items()]
    offers = [] if words else [(name, "command") for name in known if name]
    takes = {action.dest: action for action in parser._actions if not action.option_strings}
    choices = next((action.choices for action in takes.values() if action.choices), None)
    if choices:
        return "", [(str(choice), "") for choice in choices]
    if takes.keys() & {"words", "target"}:
        scheme, colon, rest = last.partition(":")
        if colon and scheme in _PATHS:
            return "", [*_images(scheme, rest, _root(words))]
        return "files", [*offers, *_targets(words, last)]
    return "", offers


def _values(option: argparse.Action) -> tuple[str, list[tuple[str, str]]]:
    """What may follow *option*."""
    if option.choices:
        return "", [(str(choice), "") for choice in option.choices]
    if option.dest == "engine":
        return "", [(name, "") for name in source_names()]
    metavar = str(option.metavar)
    if metavar == "SINK":
        return "", [(f"{name}:", "") for name in _SINKS]
    if metavar == "IMAGE":
        return "files", [(f"{name}:", "") for name in _IMAGES]
    if metavar in _DIRECTORIES:
        return "directories", []
    return ("files" if metavar in _FILES else ""), []


def _root(words: list[str]) -> Root:
    """The root that was typed."""
    if "--root" in words[:-1]:
        return Root(os.path.realpath(os.fsencode(words[words.index("--root") + 1])))
    return HOST


def _images(scheme: str, rest: str, root: Root) -> Iterator[tuple[str, str]]:
    """The directories and files that *rest* begins, and the tags of the layout before its colon."""
    layout, colon, _ = rest.rpartition(":")
    above = rest[: rest.rfind("/") + 1]
    with suppress(WhiteoutError, OSError, ValueError):
        if colon and scheme == "oci":
            for entry in read_index(os.fsdecode(root.resolve(os.fsencode(layout))))["manifests"]:
                if (tag := tag_of(entry)) is not None:
                    yield f"{scheme}:{layout}:{tag}", "tag"
            return
        with os.scandir(root.resolve(os.fsencode(above or "."))) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                if entry.name.startswith(b".") and not rest[len(above) :].startswith("."):
                    continue
                path = f"{scheme}:{above}{os.fsdecode(entry.name)}"
                if scheme == "oci" and os.path.isfile(os.path.join(entry.path, b"oci-layout")):
                    yield f"{path}:", "image layout"
                elif entry.is_dir():
                    yield f"{path}/", "directory"
                elif scheme != "oci":
                    yield path, "file"


def _targets(words: list[str], last: str) -> Iterator[tuple[str, str]]:
    """The targets of the scheme that was typed; before that the schemes, and the mount points."""
    scheme, colon, _ = last.partition(":")
    if not colon:
        yield from ((f"{scheme}:", "what this engine has") for scheme in schemes())
    root = _root(words)
    engine = schemes().get(scheme) if colon else "mount"
    if engine is None:
        return
    with suppress(WhiteoutError, OSError, UsageError):
        for record in discover(root, [engine]):
            if record.kind is not Kind.STORE and record.problem is None:
                rest = record.target.partition(":")[2]
                target = f"{scheme}:{rest}" if colon else record.target
                yield target, f"{record.kind.value} {record.name}"
