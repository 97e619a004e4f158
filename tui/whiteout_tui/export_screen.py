"""The export dialog: where the layer goes, and in what form."""

from __future__ import annotations

import os

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from whiteout.display import display_text
from whiteout.errors import WhiteoutError
from whiteout.estimate import Estimate, estimate_layer
from whiteout.export import check_exportable
from whiteout.layoutfiles import default_store_path
from whiteout.mediatypes import COMPRESSIONS, media_type_of
from whiteout.snapshot import Snapshot
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.choice import Choice
from whiteout_tui.export_plan import PLACES, Place, Plan, plan_of
from whiteout_tui.export_words import estimate_text
from whiteout_tui.exports import exports_of
from whiteout_tui.field import DialogField
from whiteout_tui.footer import ActionFooter
from whiteout_tui.prose import Prose
from whiteout_tui.state import state_of
from whiteout_tui.surveying import StackSurveyor, Surveyor
from whiteout_tui.words import words_of

_LEVELS = {"none": "no level", "gzip": "level 0 to 9", "zstd": "level 1 to 22"}
_WHOLE = "whole stack"
_IMAGES = (Place.LAYOUT, Place.ARCHIVE, Place.STORAGE, Place.CONTAINERD, Place.REGISTRY)
#: Fields to type into: label, what stands there while nothing is typed, and for which places.
_INPUTS: dict[str, tuple[str, str, tuple[Place, ...]]] = {
    "level": ("Level", "default", tuple(Place)),
    "store": ("Directory", "", (Place.STORE, Place.LAYOUT)),
    "file": ("File", "", (Place.FILE, Place.ARCHIVE)),
    "ref": ("Ref", "made of the snapshot and the media type", (Place.STORE,)),
    "tag": ("Tag", "no image, just the layer", (Place.STORE, Place.LAYOUT)),
    "namespace": ("Namespace", "default, k8s.io, moby…", (Place.CONTAINERD,)),
    "name": (
        "Image",
        "NAME:TAG",
        (Place.ARCHIVE, Place.STORAGE, Place.CONTAINERD, Place.REGISTRY),
    ),
    "address": ("Socket", "$CONTAINERD_ADDRESS, or the usual one", (Place.CONTAINERD,)),
    "base": ("On top of", "nothing; oci:DIR:TAG, docker-archive:FILE, docker://…", _IMAGES),
}
_NAMES = {
    Place.ARCHIVE: "the name that docker load gives; may be empty",
    Place.STORAGE: "localhost/app:1",
    Place.CONTAINERD: "docker.io/library/app:1",
    Place.REGISTRY: "HOST/REPOSITORY:TAG",
}
_FILES = {Place.FILE: "layer.tar.gz", Place.ARCHIVE: "image.tar"}


class ExportScreen(ModalScreen[Plan]):
    """Asks where the layer of a snapshot shall go; its result is the plan for that."""

    BINDINGS = bindings(Scope.EXPORT)
    AUTO_FOCUS = "#compression"

    def __init__(
        self,
        snapshot: Snapshot,
        store_path: str | None,
        surveyor: Surveyor,
        stack_surveyor: StackSurveyor,
    ) -> None:
        super().__init__()
        self._snapshot = snapshot
        self._store_path = store_path if store_path is not None else default_store_path()
        self._surveyor = surveyor
        self._stack_surveyor = stack_surveyor
        self._to_replace: str | None = None
        self.expected: tuple[int, ...] = ()
        """Bytes of tar of each layer, from the bottom; empty where they were not counted."""

    @property
    def is_whole(self) -> bool:
        """Whether the layers below are exported, too."""
        return self.place in _IMAGES and self.word("layers") == _WHOLE

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """How large the layers will be, from the bottom, as far as they are counted."""
        below = self._stack_surveyor.known.estimates if self.is_whole else ()
        return (*below, estimate_layer(self._surveyor.known.survey.totals))

    @property
    def is_counted(self) -> bool:
        """Whether the estimates are those of all layers, and final."""
        below = self._stack_surveyor.known
        stack = below.is_over and below.problem is None
        return self._surveyor.known.survey.walked and (stack or not self.is_whole)

    def compose(self) -> ComposeResult:
        """A line for each field; those that a place does not need are out of sight."""
        form = exports_of(self.app).form
        with Vertical(id="dialog"):
            yield Static(Content.styled("Export the layer", "bold $text-primary"), id="heading")
            with VerticalScroll(id="form", can_focus=False):
                places = tuple(place.value for place in Place)
                yield from self._choice("place", "To", places, form)
                yield from self._choice("compression", "Media type", tuple(COMPRESSIONS), form)
                for name, (label, placeholder, _) in _INPUTS.items():
                    with Horizontal(classes="field", id=f"line-{name}"):
                        yield Label(label)
                        typed = form.get(name, self._usual(name))
                        yield DialogField(typed, placeholder=placeholder, id=name, compact=True)
                yield from self._choice("layers", "Layers", ("this one", _WHOLE), form)
                yield from self._choice("connection", "Connection", ("https", "http"), form)
                yield Static("", id="hint")
                yield Static("", id="estimate")
            yield Prose("", id="failure", classes="-empty")
            yield ActionFooter()

    def _choice(
        self, name: str, label: str, words: tuple[str, ...], form: dict[str, str]
    ) -> ComposeResult:
        usual = "gzip" if name == "compression" else words[0]
        with Horizontal(classes="field", id=f"line-{name}"):
            yield Label(label)
            yield Choice(words, form.get(name, usual), id=name)

    def _usual(self, name: str) -> str:
        usual = {"store": display_text(self._store_path), "tag": "latest", "namespace": "default"}
        return usual.get(name, "")

    def on_mount(self) -> None:
        """Begin to count what the estimate is made of."""
        for field in self.query(Input):
            field.cursor_blink = False
        self._surveyor.begin()
        self._follow()

    def show_estimate(self) -> None:
        """Show what is known by now."""
        if not self.query("#estimate"):
            return
        known, below = self._surveyor.known, self._stack_surveyor.known
        problem = known.problem if not known.survey.walked else None
        if self.is_whole:
            problem = problem or below.problem
        if problem is not None:
            text = f"No estimate: {problem}."
        else:
            count = below.count + 1 if self.is_whole else 1
            text = estimate_text(self.estimates, count, complete=self.is_counted)
        self.query_one("#estimate", Static).update(Content(text))

    # The fields

    def word(self, name: str) -> str:
        """The chosen word of the choice *name*."""
        return self.query_one(f"#{name}", Choice).word

    @property
    def place(self) -> Place:
        """Where the layer shall go."""
        return Place(self.word("place"))

    def on_choice_changed(self) -> None:
        """Another place has other fields, another compression other levels."""
        self._follow()

    def on_input_changed(self) -> None:
        """What was said of the fields before is not true any more."""
        self._to_replace = None
        self._fail("")

    def _follow(self) -> None:
        place, compression = self.place, self.word("compression")
        for name, (_, _, places) in _INPUTS.items():
            self.query_one(f"#line-{name}").set_class(place not in places, "-empty")
        self.query_one("#line-layers").set_class(place not in _IMAGES, "-empty")
        self.query_one("#line-connection").set_class(place is not Place.REGISTRY, "-empty")
        self.query_one("#level", Input).disabled = compression == "none"
        self.query_one("#name", Input).placeholder = _NAMES.get(place, "")
        self.query_one("#file", Input).placeholder = _FILES.get(place, "")
        if self.is_whole:
            self._stack_surveyor.begin()
        self.show_estimate()
        self.query_one("#hint", Static).update(
            Content(f"{media_type_of(compression)}, {_LEVELS[compression]}. {PLACES[place]}")
        )

    def _fail(self, sentence: str) -> None:
        failure = self.query_one("#failure", Static)
        failure.update(Content(f"! {sentence}" if sentence else ""))
        failure.set_class(not sentence, "-empty")
        self.query_one("#dialog").set_class(bool(sentence), "-failed")

    # Its end

    def _values(self) -> dict[str, str]:
        words = ("place", "compression", "layers", "connection")
        values = {name: self.word(name) for name in words}
        for name in _INPUTS:
            values[name] = self.query_one(f"#{name}", Input).value
        return values

    def _plan(self) -> Plan:
        values = self._values()
        exports_of(self.app).form.update(values)
        if values["store"] == display_text(self._store_path):
            values["store"] = self._store_path
        check_exportable(self._snapshot)
        plan = plan_of(values)
        if self.place in (Place.STORE, Place.LAYOUT):
            store = os.path.abspath(os.path.expanduser(values["store"]))
            state_of(self.app).store = store
        return plan

    def action_submit(self) -> None:
        """Start the export, once nothing speaks against it."""
        try:
            plan = self._plan()
        except WhiteoutError as error:
            self._fail(words_of(error))
            return
        replaced = plan.replaces()
        if replaced is not None and replaced != self._to_replace:
            self._to_replace = replaced
            self._fail(f"{display_text(replaced)} is there already; Enter again replaces it")
            return
        if self.is_counted:
            self.expected = tuple(estimate.tar_size for estimate in self.estimates)
        self.dismiss(plan)

    def action_dismiss_dialog(self) -> None:
        """Close."""
        self.dismiss()
