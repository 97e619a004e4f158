"""A short run of every fuzzing target by hypothesis; `make fuzz` lets coverage guide a long one."""

from __future__ import annotations

import random

import pytest
import seeds
import targets
from hypothesis import given
from hypothesis import strategies as st


def test_every_target_has_seeds() -> None:
    assert seeds.SEEDS.keys() == targets.TARGETS.keys()


@pytest.mark.parametrize("name", targets.TARGETS)
def test_seeds_and_their_neighbours(name: str) -> None:
    target = targets.TARGETS[name]
    chance = random.Random(name)
    for seed in seeds.SEEDS[name]:
        target(seed)
        for _ in range(150):
            changed = bytearray(seed)
            for _ in range(chance.choice((1, 1, 2, 8))):
                at = chance.randrange(len(changed))
                changed[at] = chance.choice((0, 1, 0x7F, 0xFF, 0x80, chance.randrange(256)))
            cut = chance.choice((len(changed), len(changed), chance.randrange(len(changed))))
            target(bytes(changed[:cut]))


@pytest.mark.parametrize("name", targets.TARGETS)
@given(data=st.binary(max_size=2000))
def test_any_bytes(name: str, data: bytes) -> None:
    targets.TARGETS[name](data)
