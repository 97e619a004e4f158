"""File capabilities: what the attribute ``security.capability`` grants.

The format is ``struct vfs_cap_data`` of the kernel's ``include/uapi/linux/capability.h``, in its
revisions 1 to 3; the words are those of ``getcap`` (libcap's ``cap_to_text``).
"""

from __future__ import annotations

import struct

from whiteout.typed import NamedTuple

_REVISION_SHIFT = 24
_EFFECTIVE = 1
#: Bytes of the attribute by revision.
_SIZES = {1: 12, 2: 20, 3: 24}
#: In the order of their numbers.
_WORDS = """
    chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
    net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio
    sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time
    sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog
    wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
"""
_NAMES = _WORDS.split()


class FileCapabilities(NamedTuple):
    """What a file gives to who runs it.

    ``permitted`` and ``inheritable`` are names such as ``cap_net_raw``. ``effective`` tells that
    the permitted ones are raised at once. ``root_id`` is the user that is root in the user
    namespace which the capabilities count in, None for revisions 1 and 2.
    """

    revision: int
    permitted: tuple[str, ...]
    inheritable: tuple[str, ...]
    effective: bool
    root_id: int | None = None

    @property
    def text(self) -> str:
        """As ``getcap`` writes them: ``cap_net_raw=ep``; an ``=`` alone grants nothing."""
        flags: dict[str, list[str]] = {}
        for name in sorted({*self.permitted, *self.inheritable}, key=_number_of):
            word = ("e" if self.effective else "") + ("i" if name in self.inheritable else "")
            flags.setdefault(word + ("p" if name in self.permitted else ""), []).append(name)
        return " ".join(f"{','.join(names)}={word}" for word, names in flags.items()) or "="


def parse_capability(value: bytes) -> FileCapabilities:
    """Decode a raw ``security.capability``.

    Raises:
        ValueError: it is none; the kernel would not accept it either.
    """
    if len(value) < 4:
        raise ValueError("too short")
    magic = int.from_bytes(value[:4], "little")
    revision = magic >> _REVISION_SHIFT
    if len(value) != _SIZES.get(revision):
        raise ValueError(f"no capability of revision 1 to 3 in {len(value)} bytes")
    words = struct.unpack(f"<{len(value) // 4}I", value)
    pairs = words[1:3] if revision == 1 else words[1:5]
    permitted = pairs[0] | (pairs[2] << 32 if revision > 1 else 0)
    inheritable = pairs[1] | (pairs[3] << 32 if revision > 1 else 0)
    return FileCapabilities(
        revision,
        _named(permitted),
        _named(inheritable),
        bool(magic & _EFFECTIVE),
        words[5] if revision == 3 else None,
    )


def _named(bits: int) -> tuple[str, ...]:
    return tuple(_name_of(number) for number in range(64) if bits >> number & 1)


def _name_of(number: int) -> str:
    """A number that has no name yet is shown as the number, as libcap does."""
    return f"cap_{_NAMES[number]}" if number < len(_NAMES) else str(number)


def _number_of(name: str) -> int:
    return int(name) if name.isdigit() else _NAMES.index(name.removeprefix("cap_"))
