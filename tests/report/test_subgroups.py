"""The audit: a planted harm is found, no harm gives few alarms, the counts are those of plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from niwaki.patterns import PatternError
from niwaki.report.picture_attributes import confusability, picture_attributes
from niwaki.report.subgroups import audit
from niwaki.report.subgroups_page import audit_page, write_audit_page
from tests.report.browser import Browser, find_browser
from tests.report.parsed import parse, rows_of

N = 900


def _made(seed, *, harm, count=N):
    """Ten classes, three attributes; class and brightness go together, and compression loses 8 % of everything."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, count)
    attributes = {
        "bright": rng.normal(truth, 1.0),
        "framed": rng.random(count) < 0.4,
        "source": rng.choice(["phone", "scan", "web"], count),
    }
    before = np.where(rng.random(count) < 0.93, truth, (truth + 1) % 4)
    hit = attributes["framed"] & (attributes["source"] == "scan")
    lost = rng.random(count) < np.where(hit, 0.08 + harm, 0.08)
    after = np.where(lost, (truth + 2) % 4, before)
    return attributes, truth, before, after


def test_a_planted_harm_is_found_with_its_counts():
    attributes, truth, before, after = _made(0, harm=0.4)
    found = audit(attributes, truth, before, after)
    best = found.subgroups[0]
    assert set(best.attributes) == {"framed", "source=scan"}
    inside = [at for at in range(N) if attributes["framed"][at] and attributes["source"][at] == "scan"]
    tested = [at for at in inside if before[at] == truth[at]]
    lost = [at for at in tested if after[at] != truth[at]]
    assert best.indices.tolist() == lost
    assert (best.examples, best.lost) == (len(tested), len(lost))
    assert best.gained == sum(before[at] != truth[at] and after[at] == truth[at] for at in inside)
    assert best.accuracy_before == pytest.approx(len(tested) / len(inside))
    assert best.accuracy_after == pytest.approx(sum(after[at] == truth[at] for at in inside) / len(inside))
    others = [at for at in range(N) if at not in set(inside) and before[at] == truth[at]]
    assert best.elsewhere == pytest.approx(sum(after[at] != truth[at] for at in others) / len(others))
    assert (found.examples, found.tested) == (N, sum(before == truth))
    assert found.lost == sum((before == truth) & (after != truth))
    assert found.gained == sum((before != truth) & (after == truth))
    assert best.adjusted == 1 / 1001  # no shuffle of a thousand came near
    assert found.notes[0] == "losses were shuffled 1,000 times within the strata"
    assert found.strata == ("class=0", "class=1", "class=2", "class=3") and found.complete


def test_the_p_value_is_that_of_the_class_by_class_table():
    attributes, truth, before, after = _made(1, harm=0.3)
    best = audit(attributes, truth, before, after).subgroups[0]
    kept = before == truth
    names = {"framed": attributes["framed"], "source=scan": attributes["source"] == "scan"}
    inside = np.all([names[name] for name in best.attributes], axis=0)
    top = bottom = odds_up = odds_down = 0.0
    for klass in range(4):
        rows = kept & (truth == klass)
        lost, held, size = (after != truth)[rows], inside[rows], rows.sum()
        share, x, a = lost.mean(), held.sum(), (lost & held).sum()
        top += a - share * x
        bottom += share * (1 - share) * x * (1 - x / size)
        odds_up += a * (~lost & ~held).sum() / size
        odds_down += (~lost & held).sum() * (lost & ~held).sum() / size
    assert best.p == pytest.approx(math.erfc(math.sqrt(top**2 / bottom / 2)), rel=1e-9)
    assert best.odds_ratio == pytest.approx(odds_up / odds_down, rel=1e-9)


def test_no_harm_gives_few_alarms():
    # 40 runs here, 200 in the slow test below; brightness follows the class, so that it would alarm unstratified.
    alarms = sum(bool(audit(*_made(seed, harm=0.0, count=300)).subgroups) for seed in range(40))
    assert alarms <= 6  # 40 x 0.05 = 2, and a binomial chance of 1.4 % to exceed 5


def test_few_losses_give_few_alarms_because_they_are_shuffled():
    # Fifteen of 1,500 are lost, at random: the formula alone takes rare coincidences for harm.
    def alarms(permutations):
        count = 0
        for seed in range(20):
            rng = np.random.default_rng(seed)
            truth = np.arange(1500) % 5
            attributes = {name: rng.normal(size=1500) for name in "abc"}
            after = truth.copy()
            lost = rng.choice(1500, 15, replace=False)
            after[lost] = (truth[lost] + 1) % 5
            found = audit(attributes, truth, truth, after, permutations=permutations, min_support=1)
            count += bool(found.subgroups)
        return count

    assert alarms(200) <= 4  # 20 x 0.05 = 1; more than 4 has a chance of 0.3 %
    assert alarms(0) > 4


@pytest.mark.slow
def test_no_harm_gives_at_most_alpha_alarms_over_200_runs():
    alarms = sum(bool(audit(*_made(1000 + seed, harm=0.0)).subgroups) for seed in range(200))
    assert alarms <= 200 * 0.05 + 2 * math.sqrt(200 * 0.05 * 0.95)


def test_the_class_is_held_fixed():
    # One class is lost more often, and it is bright: that is no harm to the bright ones of any class.
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 2000)
    bright = rng.random(2000) < np.where(truth, 0.9, 0.1)
    after = np.where(rng.random(2000) < np.where(truth, 0.3, 0.02), 1 - truth, truth)
    assert audit({"bright": bright}, truth, truth, after).subgroups == ()
    unstratified = audit({"bright": bright}, truth, truth, after, strata=np.zeros(2000, dtype=int))
    assert unstratified.subgroups[0].attributes == ("bright",)
    both = audit({"bright": bright}, truth, truth, after, strata={"class": truth, "half": np.arange(2000) % 2})
    assert len(both.strata) == 4 and both.subgroups == ()


def test_right_before_is_what_is_compared():
    # Half the old pictures were wrong already: fewer of all can be lost, although of the right ones more are.
    rng = np.random.default_rng(4)
    truth, old = np.zeros(3000, dtype=int), rng.random(3000) < 0.5
    truth[::2] = 1
    before = np.where(old & (rng.random(3000) < 0.6), 1 - truth, truth)
    after = np.where((before == truth) & (rng.random(3000) < np.where(old, 0.2, 0.1)), 1 - truth, before)
    assert [one.attributes for one in audit({"old": old}, truth, before, after).subgroups] == [("old",)]
    assert audit({"old": old}, truth, before, after, among="all").subgroups == ()
    spared = audit({"old": ~old}, truth, before, after)
    assert spared.subgroups == () and spared.spared == 1


def test_scores_are_ranked_and_words_are_classes():
    attributes, truth, before, after = _made(0, harm=0.4)
    expected = [one.p for one in audit(attributes, truth, before, after).subgroups]
    scores = np.eye(4)[after] + 0.1
    assert [one.p for one in audit(attributes, truth, np.eye(4)[before], scores).subgroups] == expected
    words = np.array(["cat", "dog", "eel", "fox"])
    assert [one.p for one in audit(attributes, words[truth], words[before], words[after]).subgroups] == expected
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    assert [one.p for one in audit(pandas.DataFrame(attributes), truth, before, after).subgroups] == expected


def test_where_nothing_can_be_found_a_note_says_why():
    attributes, truth, before, _ = _made(0, harm=0.0)
    same = audit(attributes, truth, before, before)
    assert (
        same.subgroups == () and same.lost == 0 and same.notes[0] == "no example is lost: there is nothing to compare"
    )
    assert audit(attributes, truth, truth, (truth + 1) % 4).notes[0].startswith("every example is lost")
    three = audit({"a": [0, 1, 0]}, [0, 0, 0], [0, 0, 0], [0, 1, 0])
    assert three.subgroups == () and three.notes[0].startswith("no pattern could be significant at alpha=0.05")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"before": [0, 1]}, r"before has shape \(2,\) for 900 labels; give \[n\] or \[n, classes\]"),
        ({"after": np.full((N, 4), np.nan)}, "the scores of after hold NaN or infinite values; a model that broke"),
        ({"labels": np.zeros((N, 2))}, r"labels have shape \(900, 2\)"),
        ({"labels": []}, r"labels have shape \(0,\)"),
        ({"before": ["cat"] * N}, "before holds words and the labels do not"),
        ({"labels": ["cat"] * N}, "the labels are words and predictions are numbers"),
        ({"attributes": {"a": [1, 2]}}, "attributes of 2 examples and 900 labels"),
        ({"attributes": {"a": [1] * N}}, "no attribute tells examples apart"),
        ({"strata": [1, 2]}, "the stratum 'stratum' has 2 values for 900 examples"),
        ({"among": "wrong"}, "among='wrong' is unknown; choose from right, all"),
        ({"alpha": 0.0}, "alpha=0.0 is outside"),
    ],
)
def test_bad_input_is_refused(change, message):
    attributes, truth, before, after = _made(0, harm=0.0)
    given = {"attributes": attributes, "labels": truth, "before": before, "after": after, **change}
    with pytest.raises(PatternError, match=message):
        audit(**given)


def test_attributes_of_pictures():
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 256, (3000, 3, 5, 6)).astype(np.uint8)
    found = picture_attributes(stack)
    one = stack[2500].astype(float)
    grey = one.mean(axis=0)
    assert found["brightness"][2500] == pytest.approx(one.mean())
    assert found["contrast"][2500] == pytest.approx(math.sqrt(((grey - grey.mean()) ** 2).mean()))
    across = [abs(grey[i, j + 1] - grey[i, j]) for i in range(5) for j in range(5)]
    down = [abs(grey[i + 1, j] - grey[i, j]) for i in range(4) for j in range(6)]
    assert found["edges"][2500] == pytest.approx((np.mean(across) + np.mean(down)) / 2)
    assert found["green"][2500] == pytest.approx(one[1].mean() - one.mean())
    assert found["colour"][2500] == ("red", "green", "blue")[int(np.argmax(one.mean(axis=(1, 2))))]
    assert set(picture_attributes(stack[:, 0])) == {"brightness", "contrast", "edges"}
    with pytest.raises(ValueError, match=r"pictures have shape \(4, 4\)"):
        picture_attributes(np.zeros((4, 4)))
    # log 3 : log 1 = shares 3/5, 1/5, 1/5.
    assert confusability([[math.log(3), 0.0, 0.0]]) == pytest.approx([1 - 2 / 5])


def test_the_page_shows_the_subgroups(tmp_path):
    found = audit(*_made(0, harm=0.4))
    path = write_audit_page(found, tmp_path / "audit.html", title="pictures.csv", command="niwaki audit pictures.csv")
    page = parse(path.read_text())
    rows = rows_of(page.one("section", id="harm").all("table")[0])
    best = found.subgroups[0]
    name = f"1. {' & '.join(best.attributes)}"
    assert rows[name][0] == (f"{100 * best.rate:.3g} %", f"{best.lost} of {best.examples}")
    marks = page.one("section", id="harm").one("svg", "wide").all("path", "point")
    assert len(marks) == 2 * min(20, len(found.subgroups))
    assert f"Compression harms {len(found.subgroups)} subgroup" in page.one("h1").text
    assert "niwaki audit pictures.csv" in page.one("code").text
    none = parse(audit_page(audit(*_made(0, harm=0.0, count=300))))
    assert none.one("h1").text == "No subgroup is harmed more"


def test_the_page_fits_the_window(tmp_path):
    binary = find_browser()
    if binary is None:
        pytest.skip("no browser: set CHROMIUM, or put chromium or google-chrome on PATH")
    attributes, *others = _made(0, harm=0.4)
    attributes = {f"{name} of a picture as it was taken": values for name, values in attributes.items()}
    page = write_audit_page(audit(attributes, *others), tmp_path / "audit.html")
    for width, seen in Browser(binary, tmp_path).measure(page, (360, 800, 1400)).items():
        assert seen["scroll"] <= seen["inner"] == int(width) and seen["out"] == [] and seen["shown"] == 1
