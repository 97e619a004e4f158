"""The parts of ``typing`` that the modules of short commands need, without importing it.

For the type checker they are those of ``typing``. That import, and what it does with every
annotation of a named tuple, take a seventh of a short command.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
    from typing import cast as cast
else:
    from collections import namedtuple

    class _Maker(type):
        """Makes a named tuple of a class whose annotations, with defaults or without, are fields.

        Annotations are strings, by ``from __future__ import annotations``, and stay so.
        """

        def __new__(cls, name, bases, body):
            fields = body["__annotations__"]
            defaults = [body[field] for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            for attribute, value in body.items():
                if attribute not in fields:
                    setattr(made, attribute, value)
            return made

    Protocol = object

    def cast(_, value):
        """The *value* itself."""
        return value

    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {})
