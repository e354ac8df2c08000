"""Pages and charts: well-formed, alone, escaped; labels that keep apart on awkward numbers."""

from __future__ import annotations

import math
import random
import re

import pytest

from minigrad_kernels.pages.axes import Scale, fitting, labels, ticks, width_of
from minigrad_kernels.pages.charts import DASHES, MARKERS, Band, Chart, Series, thinned
from minigrad_kernels.pages.page import DARK, LIGHT, STYLE, details, facts, matrix, page, table
from tests.html_page import Page, checked_page

HOSTILE = "</title><script>alert(1)</script>\"'<img src=//x onerror=y>&amp;"
NAN, INF = math.nan, math.inf
NUMBERS = {
    "one": [0.5],
    "flat": [2.0, 2.0, 2.0],
    "zero": [0.0, 0.0],
    "tiny": [1e-12, 3e-12, 2e-12],
    "huge": [1e30, 2e33, 5e31],
    "negative": [-5.0, 3.0, -1e4],
    "near": [1.0000001, 1.0000002, 1.00000015],
    "broken": [1.0, NAN, 3.0, INF, 2.0, -INF],
    "lost": [NAN, NAN],
    "none": [],
    "decades": [10.0**-k for k in range(12)],
    "many": [1 / (i + 1) for i in range(5_000)],
}


def drawn(chart: Chart) -> Page:
    return checked_page(page("chart", [("Chart", chart.figure())]))


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", NUMBERS)
def test_awkward_numbers_keep_their_labels_apart(name: str, log: bool) -> None:
    y = NUMBERS[name]
    x = range(1, len(y) + 1)
    chart = Chart(
        name,
        [Series("training", x, y, 0), Series("validation", x, y[::-1], 1, points=len(y) < 20)],
        bands=[Band(x, y, y)],
        x_label="epoch",
        y_label="loss",
        log_y=log,
        whole=True,
        mark=(x[-1], f"best: {x[-1]}") if y else None,
    )
    shown = drawn(chart)
    assert "epoch" in shown.svg_texts and "loss" in shown.svg_texts


def test_a_hundred_points_have_names_that_meet_no_other() -> None:
    draw = random.Random(0)
    x = [10 ** draw.uniform(-2, 2) for _ in range(100)]
    y = [10 ** draw.uniform(0, 3) for _ in range(100)]
    names = [f"kernel_{i}" for i in range(100)]
    crowd = Series("cpu", x[:30], y[:30], points=True, joined=False, names=names[:30])
    limit = ((0.01, 10.0), (1.0, 1000.0), "memory 100 GB/s")
    chart = Chart("crowd", [crowd], log_x=True, log_y=True, limits=[limit], size=(920.0, 460.0))
    shown = drawn(chart)
    assert set(names[:30]) | {"memory 100 GB/s"} <= set(shown.svg_texts)  # there is room for all
    full = Series("cpu", x, y, points=True, joined=False, names=names)
    drawn(Chart("crowd", [full], log_x=True, log_y=True, size=(360.0, 420.0)))


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, 1.0), (1e-9, 1e9), (3.0, 3.1), (-1e5, 7.0), (100_808.0, 100_822.0), (0.9, 0.90001)],
)
@pytest.mark.parametrize("most", [2, 5, 9])
def test_ticks_are_round_few_and_inside(low: float, high: float, most: int) -> None:
    for log in (False, True) if low > 0 else (False,):
        scale = Scale(low, high, 0.0, 300.0, log)
        found = ticks(scale, most)
        assert 0 < len(found) <= most + 1
        room = 0.0 if log else 1e-8 * (high - low)
        assert all(low * (1 - 1e-9) - room <= v <= high + room for v in found)
        texts = labels(found)
        assert len(set(texts)) == len(texts), texts
        assert len(fitting(scale, most, labels)[0]) <= most + 1


def test_epochs_are_whole() -> None:
    assert ticks(Scale(0.9, 3.1, 0, 100), 8, whole=True) == [1, 2, 3]


def test_series_differ_without_their_colours() -> None:
    assert len(set(DASHES)) == len(set(MARKERS)) == len(set(LIGHT)) == len(set(DARK)) == 8


@pytest.mark.parametrize(
    ("colours", "paper"), [(LIGHT, "ffffff"), (DARK, "14161a")], ids=["light", "dark"]
)
def test_colours_can_be_told_from_the_paper(colours: tuple[str, ...], paper: str) -> None:
    """4.5 to 1, as WCAG asks of text; it asks 3 to 1 of lines."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    block = STYLE.split("prefers-color-scheme: dark")[paper != "ffffff"]
    words = re.findall(r"--(?:ink|faint|bad|good): (#[0-9a-f]{6})", block)
    assert len(words) == 4
    for colour in (*colours, *words):
        light, dark = sorted([luminance(colour[1:]), luminance(paper)], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colour


def test_nothing_that_is_told_becomes_markup() -> None:
    chart = Chart(
        HOSTILE,
        [
            Series(
                HOSTILE,
                [1, 2],
                [1.0, 2.0],
                points=True,
                names=[HOSTILE[:9]] * 2,
                tips=["<b>"] * 2,
            ),
            Series("b", [1, 2], [1.0, 2.0]),
        ],
        said=HOSTILE,
        x_label="<i>",
        y_label="<u>",
        mark=(1.0, "<b>"),
    )
    body = chart.figure() + table([HOSTILE], [[HOSTILE]], label=HOSTILE) + facts([(HOSTILE,) * 2])
    body += matrix([HOSTILE] * 2, [HOSTILE] * 2, [[1, 0], [0, 0]]) + details(HOSTILE, "")
    shown = checked_page(page(HOSTILE, [("One", body), ("Two", "<p></p>")]))
    assert not {"script", "img", "i", "u", "b"} & shown.tags
    assert shown.headings[0] == HOSTILE
    assert HOSTILE in shown.cells


@pytest.mark.parametrize(
    ("values", "said"),
    [([NAN, INF], "no finite value"), ([0.0, 0.0], "all 0"), ([-1.0, 0.0], "nothing above 0")],
)
def test_a_chart_on_which_nothing_has_a_place_says_so(values: list[float], said: str) -> None:
    shown = drawn(Chart("empty", [Series("a", [1, 2], values)], log_y=True, whole=True))
    assert shown.svg_texts == ["1", "2", said]


def test_a_logarithmic_axis_is_seen_to_be_one() -> None:
    line = [Series("a", [1, 2], [0.03, 3.0])]
    log = Chart("c", line, log_y=True).svg()
    assert log.count('class="axis"') == Chart("c", line).svg().count('class="axis"') + 2
    assert ticks(Scale(0.03, 3.0, 100, 0, log=True), 8) == [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    assert labels([0.01, 0.1]) == ["0.01", "0.1"]


def test_long_classes_have_room_in_a_matrix() -> None:
    names = ["a", "virginica" * 9, "of several words"]
    made = matrix(names, names, [[1, 0, 0], [0, 0, 0], [0, 2, 3]])
    assert made.count('<th scope="col" class="broken">') == 2
    assert made.count('class="none"') == 5  # of the zeros off the diagonal
    assert "table.matrix th.word { min-width: min(8rem, 24vw); white-space: normal" in STYLE


def test_two_sections_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two sections have one name"):
        page("t", [("A b", "<p>"), ("a-b", "<p>")])


def test_no_peak_of_many_points_is_lost() -> None:
    y = [0.0] * 100_000
    y[77_777], y[3] = 5.0, -2.0
    kept = thinned(range(len(y)), y)
    assert len(kept) < 1_000
    assert max(b for _, b in kept) == 5.0 and min(b for _, b in kept) == -2.0


def test_the_faults_that_pages_are_held_against_are_found() -> None:
    good = page("t", [("A", Chart("c", [Series("s", [1, 2], [1.0, 2.0])]).figure())])
    assert Page(good).faults == []
    for part, bad in {
        "</main>": "</p></main>",
        "<main>": '<main><img src="https://a.b/c.png">',
        "<header>": '<header id="a">',
        "</header>": '<a href="#nowhere"></a></header>',
        "</svg>": '<text x="1" y="5" text-anchor="start">a</text></svg>',
        'role="img"': 'role="none"',
    }.items():
        assert Page(good.replace(part, bad, 1)).faults, bad


def test_words_are_broken_only_where_they_are_long() -> None:
    """Else a table of short words is as wide as their columns' least, and cut by a window."""
    made = table(["kernel", "n"], [["gemm 256x256x256", "1"], ["a" * 30, "2"], ["b " * 30, "3"]])
    kinds = re.findall(r'<td class="([^"]*)">', made)
    assert kinds == ["word", "word broken", "word broken long"]
    assert "th, td { white-space: nowrap }" in STYLE
    assert "td.broken, th.broken { white-space: normal; overflow-wrap: anywhere" in STYLE
    assert ".scroll { overflow-x: auto" in STYLE
    assert "repeat(auto-fit, minmax(min(100%, 21rem), 1fr))" in STYLE


def test_no_letter_is_taken_for_narrower_than_it_is() -> None:
    """Chromium's widths at 11 pixels in DejaVu Sans: two names have met that were thought apart."""
    for text, true in {
        **{"gemm": 35.2, "adam_step": 60.4, "embedding_gather": 103.9, "transpose": 54.4},
        **{"conv2d_forward": 87.8, "batch_norm_forward": 112.9},
    }.items():
        assert true <= width_of(text) <= 1.15 * true, text
    assert width_of("変") > 11 and width_of("é") > 6


def test_paper_is_white_and_as_wide_as_a_window() -> None:
    """A page was printed black where the screen was dark, its large charts drawn for a phone."""
    assert STYLE.count("prefers-color-scheme") == 1
    assert "@media screen and (prefers-color-scheme: dark)" in STYLE
    paper = STYLE[STYLE.index("@media print") :]
    assert "svg.chart.wide-only { display: block }" in paper
    assert "svg.chart.narrow-only, svg.chart.full-only { display: none }" in paper
