"""The page that `Report` writes about a fit: its sections, in the style of all pages of ours."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from minigrad.engine import random
from minigrad.engine.dispatch import write_whole
from minigrad.engine.threads import get_num_threads
from minigrad.train.callbacks.history import History, counted, steep
from minigrad.train.callbacks.lines import cell, duration
from minigrad.train.probing import Spread
from minigrad.train.run_state import of_group, of_loader, versions
from minigrad_kernels.compare.machine import cpu_model
from minigrad_kernels.pages.charts import Band, Chart, Series
from minigrad_kernels.pages.page import details, facts, matrix, page, table

Array = np.ndarray[Any, Any]
MOST_CHARTS = 24  # of one kind; of more layers, those at equal distances
MOST_ROWS = 2_000  # of a table
MOST_CLASSES = 40  # of a matrix; of more, the pairs most often confused
MOST_PAIRS = 30
MOST_POINTS = 1_500  # of predicted over true values
MOST_COLUMNS = 4  # of a target of several amounts
BINS = 30
LARGE = (  # a chart as wide as the page
    ("full-only", (1320.0, 300.0)),
    ("wide-only", (820.0, 260.0)),
    ("narrow-only", (360.0, 230.0)),
)
MOST_EPOCHS = 40  # of a table that has a column a layer
MOST_NAMES = 12  # of a list


def write(report: Any, trainer: Any, outcome: Any) -> None:
    """Write the page.  outcome: what the model says of the validation rows, None where unknown."""
    history = trainer.history
    kinds = {name: type(module).__name__ for name, module in trainer.model.named_modules()}
    sections = [
        ("Findings", findings(doctor_of(report, trainer))),
        ("Curves", curves(history)),
        ("Gradients", spreads(report.seen, "gradients", "parameter", kinds)),
        ("Weights", spreads(report.seen, "weights", "parameter", kinds)),
        ("Activations", spreads(report.seen, "activations", "layer", kinds)),
        *outcome_sections(outcome, report.class_names),
        ("Time by kernel", times(report.profile, report._steps)),
        ("Configuration", configuration(report, trainer)),
        ("Epochs", epochs(history)),
    ]
    write_whole(report.path, page(report.title, sections, lead(report, trainer)))


# ---------------------------------------------------------------- the head
def lead(report: Any, trainer: Any) -> str:
    """Return what is most asked for: how it ended, what was reached, and when."""
    history = trainer.history
    unknown = "by an error" if report._ended else f"not yet at {time.strftime('%Y-%m-%d %H:%M')}"
    ended = history.stop_reason or unknown
    pairs = [
        ("Begun", report._started),
        ("Epochs", f"{len(history):,} of at most {trainer.epochs:,}, {duration(history.seconds)}"),
        ("Ended", ended),
    ]
    if found := doctor_of(report, trainer):
        codes = dict.fromkeys(str(getattr(one, "code", "")) for one in found)
        pairs.append(("Findings", f"{len(found)}: {', '.join(codes)}"))
    best = history.best_epoch
    if best is not None:
        row = history.row(best)
        kept = ", its weights restored" if history.restored_epoch == best else ""
        shown = [n for n in row if n not in ("epoch", "lr", "seconds")]
        pairs.append(
            (
                "Best epoch",
                f"{best}{kept}: "
                + ", ".join(f"{n.replace('_', ' ')} {cell(n, row[n], 0)}" for n in shown),
            )
        )
    notes = "".join(f'<p class="wrong-note">{escape(note)}</p>' for note in report.notes)
    return facts(pairs) + notes


# ---------------------------------------------------------------- findings
NAMED = (
    *(("Seen", "seen"), ("Layer", "layer"), ("Line", "line"), ("Why it hurts", "why")),
    ("The fix", "fix"),
)


def doctor_of(report: Any, trainer: Any) -> list[Any] | None:
    """Return what the doctor of this fit and others have found; None where nobody has looked."""
    doctor = trainer._doctor
    found = [*report.findings, *(() if doctor is None else doctor.report)]
    return found if found or doctor is not None else None


def findings(found: Sequence[Any] | None) -> str:
    """Return the findings as HTML, "" where nobody has looked."""
    if found is None:
        return ""
    if not found:
        return "<p>The doctor has looked, and found nothing.</p>"
    parts = []
    for one in found:
        rows = [(name, str(getattr(one, key))) for name, key in NAMED if getattr(one, key, "")]
        body = "".join(
            f"<dt>{name}</dt><dd>{escape(text).replace(chr(10), '<br>')}</dd>"
            for name, text in rows
        )
        title = f"{getattr(one, 'code', '')}: {getattr(one, 'title', '')}"
        parts.append(f'<div class="finding"><h3>{escape(title)}</h3><dl>{body}</dl></div>')
    shown = "\n".join(parts)
    return f'<div class="findings">\n{shown}\n</div>'


# ---------------------------------------------------------------- curves
def curves(history: History) -> str:
    """Return a chart of each column, training and validation together."""
    if not history.rows:
        return "<p>No epoch was finished.</p>"
    names = [n for n in history.names if n not in ("epoch", "lr", "seconds")]
    own = [n for n in names if not n.startswith("val_")]
    charts = [curve(history, name).figure() for name in own]
    charts += [
        curve(history, n).figure() for n in names if n.startswith("val_") and n[4:] not in own
    ]
    charts += [curve(history, n).figure() for n in ("lr", "seconds") if n in history.names]
    note = (
        '<p class="faint">All numbers stand in the <a href="#epochs">table of the epochs</a>.</p>'
    )
    return note + shelf(charts)


def curve(history: History, name: str) -> Chart:
    """Return the chart of a column."""
    titles = {"lr": "learning rate", "seconds": "seconds of an epoch"}
    title = titles.get(name, name.replace("_", " "))
    series = [
        Series(label, history["epoch"], history[column], look, points=len(history) == 1)
        for look, (column, label) in enumerate(((name, "training"), (f"val_{name}", "validation")))
        if column in history.names
    ]
    log = name in ("loss", "lr") and steep([v for s in series for v in s.y])
    best = history.best_epoch
    words = [f"{title} over {counted(len(history), 'epoch')}"]
    for line in series:
        first, last = (cell(name, line.y[i], 0) for i in (0, -1))
        at = "" if best is None else f", {cell(name, line.y[index_of(history, best)], 0)} at best"
        words.append(f"{line.name} from {first} to {last}{at}")
    broken = [e for s in series for e, v in zip(s.x, s.y, strict=True) if not math.isfinite(v)]
    lost = ""
    if broken:
        places = counted(len(broken), "place")
        lost = f"<p>Not finite in {places}, first in epoch {min(broken):.0f}.</p>"
    return Chart(
        title,
        series,
        x_label="epoch",
        y_label="log scale" if log else "",
        log_y=log,
        whole=True,
        mark=None if best is None or len(history) == 1 else (best, f"best epoch: {best}"),
        said="; ".join(words),
        numbers=lost,
    )


def index_of(history: History, epoch: int) -> int:
    """Return the place of an epoch's row."""
    return history["epoch"].index(epoch)


def shelf(charts: Sequence[str]) -> str:
    """Return charts side by side, as many as there is room for."""
    return '<div class="charts">\n' + "\n".join(charts) + "\n</div>"


# ---------------------------------------------------------------- layers
def spreads(seen: dict[str, dict[str, Array]], kind: str, what: str, kinds: dict[str, str]) -> str:
    """Return how arrays have spread over the epochs, a chart for each.

    kinds: the class of each module by its name.
    """
    if not seen[kind]:
        return ""
    rows = {
        labelled(name, kinds): [
            (int(r[0]), Spread(r[1], r[2], r[3], tuple(r[4:]))) for r in found.tolist()
        ]
        for name, found in seen[kind].items()
    }
    names = list(rows)
    few = [names[i * len(names) // MOST_CHARTS] for i in range(MOST_CHARTS)]
    drawn = names if len(names) <= MOST_CHARTS else list(dict.fromkeys(few))
    about = {
        "gradients": "Norm of the gradient on one batch of training rows, and below it how its "
        "elements spread.",
        "weights": "How the elements of each parameter spread.",
        "activations": "How the outputs of each layer spread, on one batch of training rows.",
    }[kind]
    note = (
        f"{about} The line is the median; the bands hold 50\u00a0%, 90\u00a0% and all of the "
        "elements, from strong to faint."
    )
    if len(drawn) < len(names):
        note += f" Drawn: {len(drawn)} of {len(names)}; all stand in the table."
    parts = [f'<p class="faint">{note}</p>']
    charts = []
    if kind == "gradients":
        norms = [s.norm for found in rows.values() for _, s in found if s.norm > 0]
        span = (min(norms) / 1.5, max(norms) * 1.5) if norms else None
        if len(rows) > 2 and norms:
            parts.append("<h3>Norms by depth</h3>")
            parts.append(depth_note(rows))
            large = " large" * (len(rows) > MOST_CHARTS)
            parts.append(f'<div class="charts{large}">{depth_chart(rows).figure()}</div>')
        parts.append("<h3>Norms over the epochs, on one scale</h3>")
        parts.append(shelf([norm_chart(name, rows[name], span).figure() for name in drawn]))
        parts.append(details("These norms as a table", norm_table({n: rows[n] for n in drawn})))
        parts.append("<h3>Elements</h3>")
    charts = [spread_chart(name, rows[name], kind).figure() for name in drawn]
    parts.append(shelf(charts))
    parts.append(details(f"The last numbers of each {what}", spread_table(rows, what)))
    return "\n".join(parts)


def spread_at(row: Sequence[float]) -> tuple[int, Spread]:
    """Return the epoch of a row of what has been seen, and what it is of."""
    epoch, norm, zeros, lost, *levels = row
    return int(epoch), Spread(norm, zeros, lost, tuple(levels))


def labelled(name: str, kinds: dict[str, str]) -> str:
    """Return the name of a layer or parameter, with the layer's class.

    >>> labelled("0.weight", {"": "Sequential", "0": "Linear"}), labelled("0", {"0": "Linear"})
    ('0.weight, Linear', '0, Linear')
    """
    module = name if name in kinds else name.rpartition(".")[0]
    return f"{name}, {kinds[module]}" if kinds.get(module, name) != name else name


def at_ends(rows: dict[str, list[tuple[int, Any]]]) -> list[int]:
    """Return the first and the last epoch that has been looked into, one where they are one."""
    seen = sorted({epoch for found in rows.values() for epoch, _ in found})
    return list(dict.fromkeys((seen[0], seen[-1])))


def depth_note(rows: dict[str, list[tuple[int, Any]]]) -> str:
    """Say what the chart by depth shows, and how many gradients have no place on it."""
    last = [found[-1][1].norm for found in rows.values()]
    zero, lost = sum(norm == 0 for norm in last), sum(not math.isfinite(norm) for norm in last)
    text = (
        "From the first parameter to the last, in the order of the model: towards the first ones "
        "gradients that vanish fall, those that explode rise."
    )
    if zero or lost:
        counts = [f"{n} {what}" for n, what in ((zero, "zero"), (lost, "not finite")) if n]
        text += f" In the last epoch {' and '.join(counts)} of {len(rows)}; they have no point."
    return f'<p class="faint">{text}</p>'


def depth_chart(rows: dict[str, list[tuple[int, Any]]]) -> Chart:
    """Return the norm of each parameter's gradient by its place in the model."""
    series = []
    for look, epoch in enumerate(at_ends(rows)):
        norms = [dict(found).get(epoch) for found in rows.values()]
        values = [math.nan if s is None else s.norm for s in norms]
        tips = [f"{name}: {value:.3g}" for name, value in zip(rows, values, strict=True)]
        x = range(1, len(rows) + 1)
        series.append(Series(f"epoch {epoch}", x, values, look, points=True, tips=tips))
    found = [v for s in series for v in s.y if math.isfinite(v)]
    return Chart(
        "Norm of each parameter's gradient",
        series,
        x_label="parameter",
        y_label="log scale",
        log_y=True,
        whole=True,
        said=f"norms of the gradients of {len(rows)} parameters by their place in the model, "
        f"between {min(found):.3g} and {max(found):.3g}",
        sizes=LARGE if len(rows) > MOST_CHARTS else (),
    )


def norm_chart(name: str, rows: Sequence[tuple[int, Any]], span: Any) -> Chart:
    """Return the norms of a gradient over the epochs."""
    epochs_, norms = [e for e, _ in rows], [s.norm for _, s in rows]
    return Chart(
        name,
        [Series(name, epochs_, norms, points=len(rows) == 1)],
        x_label="epoch",
        log_y=span is not None,
        y_range=span,
        whole=True,
        said=f"norm of the gradient of {name}: from {norms[0]:.3g} to {norms[-1]:.3g}",
        size=(360.0, 170.0),
    )


def norm_table(rows: dict[str, list[tuple[int, Any]]]) -> str:
    """Return norms over the epochs, of many epochs some."""
    at = sorted({epoch for found in rows.values() for epoch, _ in found})
    stride = -(-len(at) // MOST_EPOCHS)
    kept = [e for i, e in enumerate(at) if i % stride == 0 or e == at[-1]]
    norms = {name: {e: f"{s.norm:.3g}" for e, s in found} for name, found in rows.items()}
    lines = [(str(e), *(found.get(e, "") for found in norms.values())) for e in kept]
    return table(("epoch", *rows), lines, 0, label="norms of the gradients")


def spread_chart(name: str, rows: Sequence[tuple[int, Any]], kind: str) -> Chart:
    """Return how the elements of an array have spread over the epochs."""
    x = [e for e, _ in rows]
    level = [[s.quantiles[i] for _, s in rows] for i in range(7)]
    last = rows[-1][1]
    words = []
    if kind == "activations" and last.zeros:
        words.append(f"{100 * last.zeros:.0f} % zeros")
    if last.lost:
        words.append(f"{100 * last.lost:.0f} % not finite")
    title = name + (f" ({', '.join(words)})" if words else "")
    ends: list[float] = list(x)
    if len(x) == 1:  # a band needs two ends
        ends, level = [x[0] - 0.5, x[0] + 0.5], [2 * values for values in level]
    return Chart(
        title,
        [Series("median", ends, level[3])],
        bands=[
            Band(ends, level[0], level[6], kind="wide"),
            Band(ends, level[1], level[5], kind="mid"),
            Band(ends, level[2], level[4], kind="near"),
        ],
        x_label="epoch",
        whole=True,
        said=f"{name}: in the last epoch half of the elements lie between "
        f"{level[2][-1]:.3g} and {level[4][-1]:.3g}",
        size=(360.0, 190.0),
    )


def spread_table(rows: dict[str, list[tuple[int, Any]]], what: str) -> str:
    """Return the last numbers of all arrays."""
    heads = (what, "epoch", "norm", "least", "5 %", "25 %", "median", "75 %", "95 %", "largest")
    lines = []
    for name, found in rows.items():
        epoch, last = found[-1]
        numbers = [f"{v:.3g}" for v in (last.norm, *last.quantiles)]
        lines.append((name, str(epoch), *numbers, f"{100 * last.zeros:.1f} %"))
    return table((*heads, "zeros"), lines[:MOST_ROWS], 1)


# ---------------------------------------------------------------- what the model says
def outcome_sections(outcome: Any, names: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return a section on classes, or on amounts; none for no outcome."""
    if outcome is None or not outcome.rows:
        return []
    if outcome.confusion is not None:
        return [("Confusion matrix", confusion(outcome.confusion, names))]
    true, guessed = (np.concatenate(part) for part in (outcome.true, outcome.guessed))
    columns = range(min(true.shape[1], MOST_COLUMNS))
    several = true.shape[1] > 1
    charts = []
    for i in columns:
        title = f", column {i}" if several else ""
        charts += residuals(true[:, i].astype(float), guessed[:, i].astype(float), title)
    note = f"<p>Of {len(true):,} validation rows"
    note += (
        f", the first {MOST_COLUMNS} of {true.shape[1]} columns"
        if len(columns) < true.shape[1]
        else ""
    )
    note += ". On the line, predicted and true agree"
    return [("Residuals", f"{note}.</p>{shelf(charts)}")]


def confusion(counts: Array, names: Sequence[str] | None) -> str:
    """Return a confusion matrix; of many classes the pairs most often confused."""
    classes = len(counts)
    shown = list(names or ())[:classes]
    shown += [str(i) for i in range(len(shown), classes)]
    total, right = int(counts.sum()), int(np.trace(counts))
    recall = [row[i] / row.sum() if row.sum() else math.nan for i, row in enumerate(counts)]
    said = (
        f"<p>{right:,} of {total:,} validation rows are right "
        f"({100 * right / max(1, total):.2f} %). Rows are true classes, columns predicted ones.</p>"
    )
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:MOST_PAIRS]
    pairs = [
        (shown[i], shown[j], f"{wrong[i, j]:,}", f"{100 * wrong[i, j] / counts[i].sum():.1f} %")
        for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[i, j]
    ]
    parts = [said]
    if classes <= MOST_CLASSES:
        parts.append(matrix(shown, shown, counts.tolist()))
    else:
        heads = ("true", "predicted", "rows", "of the true class")
        parts.append(f"<p>Of {classes} classes, those most often confused:</p>")
        parts.append(table(heads, pairs, 2))
    precision = [
        counts[i, i] / total if total else math.nan for i, total in enumerate(counts.sum(0))
    ]
    f1 = [
        2 * counts[i, i] / both if both else math.nan
        for i, both in enumerate(counts.sum(0) + counts.sum(1))
    ]
    per_class = [
        (name, f"{int(row.sum()):,}", percent(p), percent(r), percent(f))
        for name, row, p, f, r in zip(shown, counts, precision, f1, recall, strict=True)
    ]
    share = [0.0 if math.isnan(f) else f for f in f1]
    scores = ("class", "rows", "precision", "recall", "F1")
    parts.append(details("Scores by class", table(scores, per_class, 1, bars=share)))
    return "\n".join(parts)


def percent(share: float) -> str:
    """Return a share in percent, "" for none.

    >>> percent(0.125), percent(math.nan)
    ('12.5 %', '')
    """
    return "" if math.isnan(share) else f"{100 * share:.1f} %"


def residuals(true: Array, guessed: Array, title: str) -> list[str]:
    """Return predicted over true values, and how their differences spread."""
    finite = np.isfinite(true) & np.isfinite(guessed)
    true, guessed = true[finite], guessed[finite]
    if not true.size:
        return []
    stride = -(-true.size // MOST_POINTS)
    low, high = float(min(true.min(), guessed.min())), float(max(true.max(), guessed.max()))
    error = guessed - true
    mean, spread = float(error.mean()), float(error.std())
    ideal = [] if high <= low else [((low, high), (low, high), "")]
    points = Series("rows", true[::stride].tolist(), guessed[::stride].tolist(), 0, True, False)
    shown = f" ({len(points.x):,} of {true.size:,} rows)" if stride > 1 else ""
    heights, edges = np.histogram(error, BINS)
    bars = [
        (float(a), float(b), float(h))
        for a, b, h in zip(edges[:-1], edges[1:], heights, strict=True)
    ]
    numbers = [
        ("rows", f"{true.size:,}"),
        ("mean of predicted - true", f"{mean:.4g}"),
        ("standard deviation", f"{spread:.4g}"),
        ("mean absolute", f"{float(np.abs(error).mean()):.4g}"),
        ("largest absolute", f"{float(np.abs(error).max()):.4g}"),
    ]
    return [
        Chart(
            f"Predicted over true{title}{shown}",
            [points],
            limits=ideal,
            x_label="true",
            y_label="predicted",
            said=f"predicted over true values{title} of {true.size} rows; on the line they agree",
        ).figure(),
        Chart(
            f"Predicted - true{title}",
            bars=bars,
            x_label="predicted - true",
            y_label="rows",
            said=f"histogram of predicted - true{title}: mean {mean:.3g}, deviation {spread:.3g}",
            numbers=facts(numbers),
        ).figure(),
    ]


# ---------------------------------------------------------------- time
def times(profile: Any, steps: int) -> str:
    """Return the time of some steps by kernel and by op."""
    if profile is None or not profile.kernels:
        return ""
    tables = []
    note = (
        f"<p>{counted(steps, 'training step').capitalize()}, reading data and all: "
        f"{microseconds(profile.seconds)}, of which {microseconds(profile.kernel_seconds)} "
        f"({100 * profile.kernel_seconds / profile.seconds:.0f} %) in kernels. "
        "The shares are of that time.</p>"
    )
    for what, rows in (("op", profile.ops), ("kernel", profile.kernels)):
        lines = [
            (
                spent.name,
                f"{spent.calls:,}",
                microseconds(spent.seconds),
                microseconds(spent.seconds / spent.calls),
                f"{100 * spent.seconds / profile.seconds:.1f} %",
            )
            for spent in rows[:MOST_PAIRS]
        ]
        most = max(spent.seconds for spent in rows)
        bars = [spent.seconds / most for spent in rows[:MOST_PAIRS]]
        heads = (what, "calls", "time", "a call", "share")
        more = f"<p>and {len(rows) - MOST_PAIRS} more</p>" if len(rows) > MOST_PAIRS else ""
        tables.append(
            f"<div>{table(heads, lines, 1, bars=bars, label=f'time by {what}')}{more}</div>"
        )
    drawn = "\n".join(tables)
    return f'{note}<div class="beside">\n{drawn}\n</div>'


def microseconds(seconds: float) -> str:
    """Return a short time.

    >>> microseconds(1.234e-5)
    '12.3 us'
    """
    return f"{1e6 * seconds:,.3g} us" if seconds < 1e-3 else f"{1e3 * seconds:,.3g} ms"


# ---------------------------------------------------------------- configuration
def configuration(report: Any, trainer: Any) -> str:
    """Return what the fit is made of, and on what it ran."""
    optimizer = trainer.optimizer
    count = sum(p.numel() for p in trainer.model.parameters())
    groups = [of_group(optimizer, i) for i in range(len(optimizer.param_groups))]
    data = {"training data": trainer.train_loader, "validation data": trainer.val_loader}
    pairs: list[tuple[str, str]] = [(str(k), said(v)) for k, v in report.details.items()]
    pairs += [
        ("model", f"{type(trainer.model).__name__}, {count:,} parameters"),
        ("optimizer", type(optimizer).__name__),
        *(
            (f"group {i}" if len(groups) > 1 else "options", options(g))
            for i, g in enumerate(groups)
        ),
        ("loss", str(getattr(trainer.loss, "__name__", type(trainer.loss).__name__))),
        ("metrics", ", ".join(trainer.metrics) or "none"),
        *((name, options(of_loader(l))) for name, l in data.items() if l is not None),
        ("epochs", f"at most {trainer.epochs}"),
        ("callbacks", ", ".join(map(told, trainer.callbacks))),
        *ran(trainer.explain()),
        ("seed", str(random.initial_seed())),
        ("device", device_of(trainer)),
        ("threads", f"{get_num_threads()} of {os.cpu_count()} cores"),
        ("processor", str(cpu_model())),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions().items())),
    ]
    return facts(pairs) + f"<pre>{escape(repr(trainer.model))}</pre>"


RAN = {"whole_step": "training steps", "score": "scored batches"}  # by their names to `explain`


def ran(explained: str) -> list[tuple[str, str]]:
    """Return how the steps ran, a line each.

    >>> ran("whole_step: 2 eager, 3 replayed")
    [('training steps', '2 eager, 3 replayed')]
    """
    parts = [line.partition(": ") for line in explained.splitlines()]
    return [(RAN.get(name, name.replace("_", " ")), text) for name, _, text in parts]


def device_of(trainer: Any) -> str:
    """Return where the model is."""
    places = dict.fromkeys(str(p.device) for p in trainer.model.parameters())
    return str(trainer.device or ", ".join(places) or "cpu")


def options(values: dict[str, Any]) -> str:
    """Return the options of an optimizer or a loader: its class first, parameters as their number.

    >>> options({"parameters": ["0", "1"], "lr": 0.1}), options({"class": "DataLoader", "rows": 8})
    ('2 arrays, lr 0.1', 'DataLoader, rows 8')
    """
    rest = dict(values)
    head = [str(rest.pop("class"))] if "class" in rest else []
    if isinstance(rest.get("parameters"), list):
        head.append(counted(len(rest.pop("parameters")), "array"))
    return ", ".join(head + [said(rest)] * bool(rest))


def told(thing: Any) -> str:
    """Return what a thing says of itself, its class where that is an address alone.

    >>> told(object()), told(1.5)
    ('object', '1.5')
    """
    return type(thing).__name__ if repr(thing) == object.__repr__(thing) else repr(thing)


def said(value: Any) -> str:
    """Return options as text.

    >>> said({"lr": 0.1, "betas": (0.9, 0.999)})
    'lr 0.1, betas (0.9, 0.999)'
    """
    if isinstance(value, dict):
        return ", ".join(f"{key} {said(part)}" for key, part in value.items())
    if isinstance(value, list) and len(value) > MOST_NAMES:
        return f"{said(value[:MOST_NAMES])} and {len(value) - MOST_NAMES} more"
    return str(value)


# ---------------------------------------------------------------- all numbers
def epochs(history: History) -> str:
    """Return all rows of the history; of very many, those at equal distances, and the best."""
    if not history.rows:
        return ""
    rows = list(history.rows)
    stride = -(-len(rows) // MOST_ROWS)
    best = history.best_epoch
    kept = [r for i, r in enumerate(rows) if i % stride == 0 or r["epoch"] == best or r is rows[-1]]
    names = history.names
    lines = [[exact(row.get(name, math.nan), name) for name in names] for row in kept]
    marks = {i: "best" for i, row in enumerate(kept) if row["epoch"] == best}
    heads = [name.replace("_", " ") for name in names]
    for i in marks:
        lines[i][0] += " (best)"
    note = "" if stride == 1 else f"<p>Every {stride}th of {len(rows):,} epochs, and the best.</p>"
    return note + table(heads, lines, 0, marks, label="epochs")


def exact(value: float, name: str) -> str:
    """Return a number of the table of epochs.

    >>> exact(12.0, "epoch"), exact(0.123456789, "loss")
    ('12', '0.123457')
    """
    return f"{value:.0f}" if name == "epoch" else f"{value:.6g}"
