"""A tree as the fields of a form."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openedx_webhooks.payloads.flattening import flatten, flatten_legacy
from tests.payloads.properties import unhurried


def fields(tree: dict[str, object]) -> dict[str, str]:
    return dict(flatten(tree, str))


def test_keys_are_joined_and_the_pii_level_is_left_out():
    tree = {"user": {"id": 6, "pii": {"email": "a@example.com", "name": "Ada"}}}
    assert flatten(tree, str) == [("user_id", "6"), ("user_email", "a@example.com"), ("user_name", "Ada")]


def test_items_count_from_zero_and_empty_containers_are_empty_fields():
    assert fields({"a": [1, {"b": 2}, [3]], "none": [], "nothing": {}}) == {
        "a_0": "1",
        "a_1_b": "2",
        "a_2_0": "3",
        "none": "",
        "nothing": "",
    }


def test_the_leaf_without_pii_keeps_the_short_name():
    tree = {"user": {"pii": {"name": "personal"}, "name": "public"}}
    assert fields(tree) == {"user_pii_name": "personal", "user_name": "public"}


def test_names_that_meet_by_their_underscores_are_numbered():
    tree = {"a": {"b_c": 1}, "a_b": {"c": 2}, "a_b_c": 3}
    assert fields(tree) == {"a_b_c": "1", "a_b_c_2": "2", "a_b_c_3": "3"}


def test_a_number_never_takes_a_name_that_exists():
    assert fields({"a_b": 1, "a_b_2": 2, "a": {"b": 3}}) == {"a_b": "1", "a_b_2": "2", "a_b_3": "3"}


def test_a_level_called_pii_alone_keeps_its_name():
    assert fields({"pii": "x"}) == {"pii": "x"}


def test_the_legacy_form_keeps_pii_and_writes_a_list_as_one_field():
    tree = {"U": {"pii": {"name": "n"}, "list": [1, 2], "empty": {}}}
    assert flatten_legacy(tree, str) == [("U_pii_name", "n"), ("U_list", "[1, 2]")]


def trees(keys: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, object]]:
    leaves = st.text(max_size=5)
    inner = st.recursive(
        leaves,
        lambda x: st.dictionaries(keys, x, min_size=1, max_size=4) | st.lists(x, min_size=1, max_size=4),
        max_leaves=15,
    )
    return st.dictionaries(keys, inner, max_size=4)


def leaves(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(leaves, value.values())) if value else 1
    if isinstance(value, list):
        return sum(map(leaves, value)) if value else 1
    return 1


def rebuilt(form: list[tuple[str, str]]) -> dict[str, object]:
    """Undo the flattening, where no key holds an underscore or is a number."""
    tree: dict[str, object] = {}
    for name, value in form:
        node = tree
        *levels, last = name.split("_")
        for level in levels:
            node = node.setdefault(level, {})  # type: ignore[assignment]
        node[last] = value
    return lists_again(tree)  # type: ignore[return-value]


def lists_again(value: object) -> object:
    if not isinstance(value, dict):
        return value
    items = {key: lists_again(item) for key, item in value.items()}
    if items and all(key.isdecimal() for key in items):
        return [items[str(index)] for index in range(len(items))]
    return items


@unhurried
@given(trees(st.sampled_from(["a", "b", "c", "Course key", "\u00e9"])))
def test_unambiguous_keys_can_be_read_back(tree):
    assert rebuilt(flatten(tree, str)) == tree


@unhurried
@given(trees(st.sampled_from(["a", "b", "a_b", "_", "", "0", "1", "pii", "a_pii", "b_2"])))
def test_nothing_is_lost_and_no_name_comes_twice(tree):
    form = flatten(tree, str)
    assert len(form) == (leaves(tree) if tree else 0)
    assert len({name for name, _ in form}) == len(form)
