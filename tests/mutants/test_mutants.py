"""The kit finds every planted bug, and passes every correct twin."""

import pytest
from report import FAMILIES
from suite import Family, breaks, judge

# A law holds for these too, as what they compute is a function of the same kind, but another.
BY_DEFINITION = {"M10", "M11", "M23", "M33", "M35", "M37"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.make.__name__)
def test_the_right_function_raises_no_alarm(family: Family):
    verdict = judge(family)
    assert not verdict.caught, verdict


@pytest.mark.parametrize(
    ("family", "bug"),
    [pytest.param(family, bug, id=bug) for family in FAMILIES for bug in family.bugs],
)
def test_a_bug_is_caught(family: Family, bug: str):
    function = family.make(bug)
    by_law = any(breaks(law, function) for law in family.laws.values())
    assert by_law == (bug not in BY_DEFINITION)
    assert by_law or (family.definition and breaks(family.definition, function))


def test_every_bug_of_the_list_is_planted():
    planted = sorted(bug for family in FAMILIES for bug in family.bugs)
    assert planted == [f"M{number:02}" for number in range(1, 40)]
