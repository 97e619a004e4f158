"""What a mount follows: renames (``redirect_dir``) and metadata without data (``metacopy``).

A mark that a mount does not follow is there all the same, and the kernel then refuses to show the
entry (``ovl_check_follow_redirect`` of ``fs/overlayfs/namei.c``), as following it leads to files
that whoever wrote the layer may not have been allowed to read.
"""

from __future__ import annotations

from whiteout.typed import TYPE_CHECKING, NamedTuple
from whiteout.verity import Verity

if TYPE_CHECKING:
    from whiteout.mountoptions import OverlayOptions


class Following(NamedTuple):
    """What a mount follows: ``redirect_dir`` and ``metacopy``; and what it checks, ``verity``.

    Where it does not, the kernel refuses to show the entry (EPERM, ``ovl_check_follow_redirect``).
    ``top_is_upper`` tells that the topmost layer is an upperdir, from where the kernel does not go
    straight to the data-only layers.
    """

    redirects: bool = True
    metacopy: bool = True
    top_is_upper: bool = False
    verity: Verity = Verity.OFF


FOLLOW_ALL = Following()


class KernelDefaults(NamedTuple):
    """The parameters of the overlay module: what holds where a mount says nothing."""

    redirect_dir: bool = False
    redirect_always_follow: bool = True
    metacopy: bool = False


def kernel_defaults(directory: str = "/sys/module/overlay/parameters") -> KernelDefaults:
    """The parameters that the running kernel has; its built-in ones where they cannot be read."""
    built_in = KernelDefaults()

    def parameter(name: str, default: bool) -> bool:
        try:
            with open(f"{directory}/{name}", encoding="ascii") as file:
                return file.read(2).startswith("Y")
        except (OSError, ValueError):
            return default

    return KernelDefaults(
        parameter("redirect_dir", built_in.redirect_dir),
        parameter("redirect_always_follow", built_in.redirect_always_follow),
        parameter("metacopy", built_in.metacopy),
    )


def following_of(options: OverlayOptions, defaults: KernelDefaults) -> Following:
    """What a mount with *options* follows (``ovl_fs_params_verify`` of ``fs/overlayfs/params.c``).

    ``redirect_dir=off`` means ``follow`` where ``redirect_always_follow`` is set. With
    ``userxattr`` neither is followed unless the options say so.
    """
    mode = options.redirect_dir
    if mode is None and options.userxattr:
        mode = "nofollow"
    elif mode is None:
        mode = "on" if defaults.redirect_dir else "off"
    if mode == "off":
        mode = "follow" if defaults.redirect_always_follow else "nofollow"
    metacopy = options.metacopy
    if metacopy is None:
        metacopy = defaults.metacopy and not options.userxattr
    return Following(
        redirects=mode in ("on", "follow"),
        metacopy=metacopy,
        top_is_upper=options.upperdir is not None,
        verity=options.verity,
    )
