"""`minigrad scale` and `minigrad search`, without other processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minigrad.cli.main import main
from minigrad.distributed.cost_model import Network, Step, pays_up_to, predict
from minigrad.distributed.group import Group
from minigrad.distributed.measuring import ping_pong

STEP = Step(0.1, 8e6, buckets=4, others=2, largest=2e6)


def test_alone_a_step_costs_its_compute() -> None:
    found = predict(STEP, Network(1e-5, 1e9), 1)
    assert (found.seconds, found.exchange, found.efficiency) == (0.1, 0.0, 1.0)


def test_the_terms_add_up() -> None:
    network = Network(1e-5, 1e9, overlap=0.0)
    found = predict(STEP, network, 4)
    # 4 ranks: 4 messages in a row for each of 4 + 2 exchanges, 3/2 of the bytes.
    assert found.exchange == pytest.approx(6 * 4e-5 + 1.5 * 8e6 / 1e9)
    assert found.seconds == pytest.approx(0.025 + found.exchange) and found.hidden == 0
    hiding = predict(STEP, Network(1e-5, 1e9), 4)
    last = 4e-5 + 1.5 * 2e6 / 1e9  # the bucket that comes last cannot hide
    assert hiding.seconds == pytest.approx(0.025 + last + 2 * 4e-5)
    rare = predict(STEP, network, 4, local_steps=10, compression=2)
    assert rare.seconds == pytest.approx(0.025 + (4 * 4e-5 + 0.75 * 8e6 / 1e9) / 10 + 2 * 4e-5)


def test_what_does_not_depend_on_the_rows_is_not_shared() -> None:
    step = Step(0.1, 8e6, buckets=4, fixed=0.02)
    found = predict(step, Network(1e-5, 1e9, overlap=0.0), 4)
    assert found.compute == pytest.approx(0.02 + 0.08 / 4)
    assert found.seconds == pytest.approx(found.compute + found.exchange)
    half = predict(step, Network(1e-5, 1e9, overlap=0.5), 4)
    whole = predict(step, Network(1e-5, 1e9), 4)
    assert half.hidden == pytest.approx(whole.hidden / 2) and whole.hidden > 0


def test_messages_are_measured_between_two_ranks_alone() -> None:
    with pytest.raises(ValueError, match="mpiexec -n 2 minigrad scale --measure"):
        ping_pong(Group())


def test_more_processes_never_pay_more_each() -> None:
    for weak in (False, True):
        shares = [predict(STEP, Network(2e-5, 1e9), 2**k, weak=weak).efficiency for k in range(12)]
        assert shares == sorted(shares, reverse=True)
    assert pays_up_to(STEP, Network(2e-5, 1e9)) < pays_up_to(STEP, Network(2e-5, 1e9), weak=True)


@pytest.mark.parametrize("wrong", [(-1, 1e9, 1), (1e-5, 0, 1), (1e-5, 1e9, 2)])
def test_a_network_that_is_none_is_refused(wrong: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="expected latency >= 0 s"):
        Network(*wrong)


def test_scale_prints_a_row_a_number_of_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "--nodes", "1..6", "--step", "100ms", "--bandwidth", "1GB"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines() if line.endswith("%")] == [*"1246"]
    assert "pays to" in printed and "(given)" in printed


PLAN = """
data = "iris"
fixed = { epochs = 2 }
[search]
lr = { low = 1e-4, high = 1e-1, log = true }
hidden = [[4], [6, 4]]
"""


@pytest.mark.slow
def test_a_search_goes_on_where_it_stood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    plan.write_text(PLAN)
    assert main(["search", str(plan), "-n", "2", "--out", str(out)]) == 0
    path = out / "trials.jsonl"
    first = path.read_text()
    path.write_text(first[:-20])  # a kill has cut the last line
    capsys.readouterr()
    assert main(["search", str(plan), "-n", "3", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "3 trials: 1 are there, 2 to run on 1" in printed
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(one["trial"] for one in found) == [0, 1, 2]
    again = next(one for one in found if one["trial"] == 1)
    before = json.loads(first.splitlines()[1])
    assert again["scores"] == before["scores"] and again["options"] == before["options"]
    plan.write_text(PLAN.replace("epochs = 2", "epochs = 3"))
    assert main(["search", str(plan), "--out", str(out)]) == 2
    assert "is of another file than this one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data = 'iris'", "expected data = ... and a table [search]"),
        ("data = 'iris'\n[search]\nlr = {low = 2, high = 1}", "search: lr: expected a list"),
        ("data = 'iris'\n[search]\nlrs = [1]", "no option 'lrs'"),
        ("data = 'no.csv'\n[search]\nlr = [1]", "no data set and no file 'no.csv'"),
        ("data = ", "plan.toml: "),
    ],
)
def test_a_plan_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "plan.toml").write_text(text)
    assert main(["search", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
