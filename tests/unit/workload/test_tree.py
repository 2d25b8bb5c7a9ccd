from __future__ import annotations

import pytest

from harchos_infra.workload.tree import MAX_DEPTH, MAX_VALUES, TreeError, read_tree


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("yes", "yes"),
        ("012", "012"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-11-24", "2026-11-24"),
        ("0b11", "0b11"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("~", None),
        ("null", None),
        ("", None),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!int 12", 12),
        ("! 12", "12"),
    ],
)
def test_scalars_follow_yaml_1_2_and_not_1_1(plain: str, value: object) -> None:
    tree = read_tree(f"zone: {plain}")
    assert tree.value == {"zone": value}
    assert type(tree.value["zone"]) is type(value)
    assert tree.problems == []


def test_each_part_knows_where_it_lies() -> None:
    tree = read_tree("a: 1\nb:\n  - c\n  - d:   e\n")
    assert tree.key(("b",)) == (2, 1)
    assert tree.position(("b", 0)) == (3, 5)
    assert tree.key(("b", 1, "d")) == (4, 5)
    assert tree.position(("b", 1, "d")) == (4, 10)


def test_what_is_not_in_the_text_lies_where_its_nearest_ancestor_does() -> None:
    tree = read_tree("a: 1\nb:\n  c: d\n")
    assert tree.position(("b", "x", "y")) == (2, 1)
    assert tree.position(("x",)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: 1\na: 2", (2, 1), "duplicate key `a`"),
        ("a: {b: 1, b: 2}", (1, 11), "duplicate key `b`"),
        ("1: x", (1, 1), "key must be text"),
        ("true: x", (1, 1), "key must be text"),
        ("? [a]\n: x", (1, 3), "key must be text"),
        ("b: &x {c: 1}\na:\n  <<: *x", (3, 3), "merge keys"),
        ("a: *nowhere", (1, 4), "alias to no earlier anchor"),
        ("a: &x [*x]", (1, 8), "alias to no earlier anchor"),
        ("a: !Ref b", (1, 4), "tag that is not read"),
        ("a: !!python/object:os.system {}", (1, 4), "tag that is not read"),
        ("a: !!int b", (1, 4), "tag that is not read"),
        ("a: 1\n---\nb: 2", (2, 1), "second document"),
        ('a: "x\\0y"', (1, 4), "NUL"),
    ],
)
def test_what_can_be_read_past_is_reported_with_its_place(
    text: str, place: tuple[int, int], said: str
) -> None:
    problems = read_tree(text).problems
    assert [(p.line, p.column) for p in problems] == [place]
    assert said in problems[0].message


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a:\n\tb: 1", 2, "a tab cannot indent"),
        ("a: [1, 2", 1, "not valid YAML"),
        ('a: "b', 1, "not valid YAML"),
        ("a: @b", 1, "cannot start any token"),
        ("a: b: c", 1, "mapping values"),
        ("[" * (MAX_DEPTH + 2), 1, "deep"),
        ("a: [" + "1, " * MAX_VALUES + "]", 1, "values"),
    ],
)
def test_what_cannot_be_read_past_stops_with_its_place(text: str, line: int, said: str) -> None:
    with pytest.raises(TreeError) as stopped:
        read_tree(text)
    assert said in stopped.value.problem.message
    assert stopped.value.problem.line in (line, line + 1)


def test_aliases_are_repeated_but_cannot_unfold_without_bound() -> None:
    assert read_tree("a: &x [1]\nb: *x").value == {"a": [1], "b": [1]}
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(TreeError) as stopped:
        read_tree("\n".join(lines))
    assert "unfold to more than" in stopped.value.problem.message
