"""The order of tables by their foreign keys."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from londiste_lite.foreign_keys import parents_first
from londiste_lite.names import QualifiedName

A, B, C, D = (QualifiedName("public", name) for name in "abcd")


def test_order__without_foreign_keys_is_kept() -> None:
    assert parents_first([C, A, B], []) == [C, A, B]


def test_order__parents_come_first() -> None:
    assert parents_first([A, B, C], [(A, B), (B, C)]) == [C, B, A]
    assert parents_first([A, B, C, D], [(A, D), (B, D), (C, A)]) == [D, A, B, C]


def test_order__tables_that_are_not_changed_do_not_count() -> None:
    assert parents_first([A, B], [(A, C), (C, B), (C, A)]) == [A, B]


def test_order__none_for_a_circle() -> None:
    assert parents_first([A, B], [(A, B), (B, A)]) is None
    assert parents_first([A, B, C, D], [(A, B), (B, C), (C, A)]) is None


def test_order__a_table_that_references_itself_is_no_circle() -> None:
    assert parents_first([A, B], [(A, A), (A, B), (A, A)]) == [B, A]


@settings(derandomize=True)
@given(st.permutations([A, B, C, D]), st.sets(st.tuples(st.sampled_from([A, B, C, D]), st.sampled_from([A, B, C, D]))))
def test_order__every_parent_is_before_its_children(names: list[QualifiedName], pairs: set) -> None:  # type: ignore[type-arg]
    found = parents_first(names, pairs)
    if found is None:
        return
    assert sorted(found) == sorted(names)
    for child, parent in pairs:
        assert child == parent or found.index(parent) < found.index(child)
