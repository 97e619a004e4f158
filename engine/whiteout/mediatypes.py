"""The media types that an exported layer may have, and their compression levels.

Source of the names: OCI image spec, ``layer.md``.
"""

from __future__ import annotations

from whiteout.display import display_text
from whiteout.errors import MediaTypeError, UsageError

TAR = "application/vnd.oci.image.layer.v1.tar"
GZIP = TAR + "+gzip"
ZSTD = TAR + "+zstd"

MEDIA_TYPES = (TAR, GZIP, ZSTD)
#: The words of ``--compression``.
COMPRESSIONS = {"none": TAR, "gzip": GZIP, "zstd": ZSTD}

_LEVELS = {
    GZIP: ("gzip", range(-1, 10), "0 (store) to 9 (smallest), or -1 for the default"),
    ZSTD: ("zstd", range(1, 23), "1 (fastest) to 22 (smallest)"),
}


def media_type_of(compression: str) -> str:
    """The media type of a layer compressed by ``none``, ``gzip`` or ``zstd``.

    Raises:
        MediaTypeError: *compression* is none of the three.
    """
    try:
        return COMPRESSIONS[compression]
    except KeyError:
        raise MediaTypeError(
            f"{display_text(compression)} is not a compression of layers; "
            f"use one of {', '.join(COMPRESSIONS)}"
        ) from None


def check_media_type(text: str) -> str:
    """*text* itself when a layer can have it as media type.

    Raises:
        MediaTypeError: it is not one of :data:`MEDIA_TYPES`; the message lists these.
    """
    if text not in MEDIA_TYPES:
        raise MediaTypeError(
            f"{display_text(text)} is not a media type of layers; "
            f"use one of {', '.join(MEDIA_TYPES)}"
        )
    return text


def check_level(media_type: str, level: int | None) -> int | None:
    """*level* itself when *media_type* knows it; None stands for the default of the format.

    Raises:
        MediaTypeError: *media_type* is not of a layer.
        UsageError: *level* is out of range, or given for an uncompressed layer.
    """
    check_media_type(media_type)
    if level is None:
        return None
    if media_type not in _LEVELS:
        raise UsageError(f"an uncompressed layer has no level; leave out the level {level}")
    name, levels, words = _LEVELS[media_type]
    if level not in levels:
        raise UsageError(f"{level} is not a level of {name}; give {words}")
    return level
