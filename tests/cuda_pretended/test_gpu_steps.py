"""Training steps on the pretended driver: no host reads or uploads, and as one graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.nn import functional as F
from minigrad.nn.functional import regression
from minigrad_kernels.cuda import targets
from tests.cuda_pretended import pretended
from tests.cuda_pretended.pretended import Pretended, data_of

pretended.require()


@pytest.fixture
def driver() -> Iterator[Pretended]:
    with pretended.gpus() as made:
        yield made


def network(width: int = 8) -> Any:
    """Return three blocks of Linear, BatchNorm, ReLU and Dropout, and a head, on the GPU."""
    layers: list[Any] = []
    for inputs in (6, width, width):
        layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        layers.append(nn.Dropout(0.2))
    return nn.Sequential(*layers, nn.Linear(width, 3)).to("cuda")


def batch(rows: int = 16) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.standard_normal((rows, 6)).astype(np.float32)).cuda()
    return x, mg.tensor(rng.integers(0, 3, rows)).cuda()


def step_of(optimizer: Callable[[Any], Any] = optim.AdamW, clip: bool = False) -> Any:
    model = network()
    chosen = optimizer(model.parameters())

    def step(x: Any, t: Any) -> Any:
        loss = F.cross_entropy(model(x), t)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        chosen.step()
        chosen.zero_grad()
        return loss.detach()

    step.optimizer, step.model = chosen, model  # type: ignore[attr-defined]
    return step


SGD = lambda params: optim.SGD(params, lr=0.1, momentum=0.9)  # noqa: E731
OPTIMIZERS = {"AdamW": optim.AdamW, "SGD": SGD, "NAdam": optim.NAdam}


@pytest.mark.parametrize("clip", [False, True], ids=["plain", "clipped"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_reads_and_uploads_nothing(name: str, clip: bool, driver: Pretended) -> None:
    step, (x, t) = step_of(OPTIMIZERS[name], clip), batch()
    for _ in range(4):  # what lasts is made, addresses settle
        step(x, t)
    before = mg.cuda.host_transfers()
    with driver.logged() as lines:
        for _ in range(3):
            step(x, t)
    assert mg.cuda.host_transfers() == before
    waiting = ("cuMemcpyHtoD", "cuMemcpyDtoH", "cuStreamSynchronize", "cuCtxSynchronize")
    assert pretended.calls(lines, *waiting, "cuMemAlloc", "cuEventSynchronize") == []
    assert len(pretended.launches(lines)) > 60 and driver.faults == 0


def test_the_counter_counts(driver: Pretended) -> None:
    before = mg.cuda.host_transfers()
    x = mg.ones(3).cuda()
    x.sum().item()
    after = mg.cuda.host_transfers()
    assert (after["uploads"] - before["uploads"], after["reads"] - before["reads"]) == (1, 1)


def test_a_changed_learning_rate_is_sent_once(driver: Pretended) -> None:
    step, (x, t) = step_of(), batch()
    for _ in range(3):
        step(x, t)
    before = mg.cuda.host_transfers()["uploads"]
    step.optimizer.param_groups[0]["lr"] = 0.5
    for _ in range(3):
        step(x, t)
    assert mg.cuda.host_transfers()["uploads"] == before + 1
    assert step.optimizer._steps.tolist() == [6] * len(step.optimizer._steps)


def test_loaded_counts_of_steps_are_sent(driver: Pretended) -> None:
    step, (x, t) = step_of(), batch()
    for _ in range(3):
        step(x, t)
    state = step.optimizer.state_dict()
    step(x, t)
    step.optimizer.load_state_dict(state)
    step(x, t)
    target = targets.gpu()
    mirror = target.mirrors[id(step.optimizer._steps)]
    assert mirror.known == np.full(len(step.optimizer._steps), 4).tobytes()


def test_wrong_classes_are_told_with_the_loss(driver: Pretended) -> None:
    step, (x, _) = step_of(), batch()
    t = mg.tensor(np.full(16, 2)).cuda()
    loss = step(x, t)
    target = targets.gpu()
    assert len(target.late.pending) == 1
    assert loss.item() == 0 and not target.late.pending  # nothing was computed, so nothing is wrong
    wrong = mg.tensor(np.r_[np.full(15, 2), 7]).cuda()
    loss = step(x, wrong)
    # As the kernel would: the word of the check that is pending, lowered to the index.
    (number,) = target.late.pending
    target.write(target.late.words[number : number + 1], np.int32(15))
    with pytest.raises(ValueError, match="target 7 at position 15 is out of range for 3 classes"):
        loss.item()
    assert step(x, t).item() == 0 and driver.faults == 0


def python_calls(call: Callable[[], Any]) -> int:
    """Return how many functions written in Python a call runs."""
    found = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal found
        found += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(before)
    return found


def test_a_step_runs_little_python(driver: Pretended) -> None:
    """What a step takes the host is the Python between its launches: the count stands for it."""
    step, (x, t) = step_of(), batch()
    graph = mg.cuda.graph(step)
    for _ in range(4):
        step(x, t)
        graph(x, t)
    assert python_calls(lambda: step(x, t)) <= 900
    assert python_calls(lambda: graph(x, t)) <= 85


def test_a_profile_sees_every_launch(driver: Pretended) -> None:
    step, (x, t) = step_of(), batch()
    for _ in range(3):
        step(x, t)
    with mg.profile() as seen:
        step(x, t)
    found = {spent.name: spent.calls for spent in seen.kernels}
    assert found["batch_norm_dropout_forward"] == found["batch_norm_running"] == 3
    assert found["gemm"] + found["gemm_bias"] + found["gemm_sums"] == 4 + 3 + 4
    with driver.logged() as lines:
        step(x, t)
    assert len(pretended.launches(lines)) > 20


# ---------------------------------------------------------------- losses and layers
def numbers(*shape: int, low: float = -1.0) -> Any:
    rng = np.random.default_rng(1)
    return mg.tensor(rng.uniform(low, 1.0, shape).astype(np.float32)).cuda()


def classes(*shape: int) -> Any:
    return mg.tensor(np.random.default_rng(2).integers(0, 5, shape)).cuda()


def signs(*shape: int) -> Any:
    return mg.tensor(np.random.default_rng(3).choice([-1.0, 1.0], shape).astype(np.float32)).cuda()


# name -> the other arguments; the first is (8, 5) and wants a gradient.
LOSSES: dict[str, Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "mse_loss": lambda: ((numbers(8, 5),), {}),
    "l1_loss": lambda: ((numbers(8, 5),), {}),
    "smooth_l1_loss": lambda: ((numbers(8, 5),), {}),
    "huber_loss": lambda: ((numbers(8, 5),), {}),
    "cross_entropy": lambda: ((classes(8),), {"weight": numbers(5, low=0.1)}),
    "nll_loss": lambda: ((classes(8),), {}),
    "nll_loss weighted": lambda: ((classes(8),), {"weight": numbers(5), "ignore_index": 2}),
    "binary_cross_entropy": lambda: ((numbers(8, 5, low=0.0),), {}),
    "binary_cross_entropy_with_logits": lambda: ((numbers(8, 5, low=0.0),), {}),
    "kl_div": lambda: ((numbers(8, 5, low=0.1),), {}),
    "hinge_embedding_loss": lambda: ((signs(8, 5),), {}),
    "soft_margin_loss": lambda: ((signs(8, 5),), {}),
    "margin_ranking_loss": lambda: ((numbers(8, 5), signs(8, 5)), {}),
    "multilabel_soft_margin_loss": lambda: ((numbers(8, 5, low=0.0),), {}),
    "cosine_embedding_loss": lambda: ((numbers(8, 5), signs(8)), {}),
    "triplet_margin_loss": lambda: ((numbers(8, 5), numbers(8, 5)), {}),
    "poisson_nll_loss": lambda: ((numbers(8, 5, low=0.0),), {}),
    "gaussian_nll_loss": lambda: ((numbers(8, 5), numbers(8, 5, low=0.1)), {}),
}
LAYERS: dict[str, Callable[[], tuple[Any, tuple[int, ...]]]] = {
    "Conv2d": lambda: (nn.Conv2d(3, 4, 3, padding=1), (2, 3, 8, 8)),
    "MaxPool2d": lambda: (nn.MaxPool2d(2), (2, 3, 8, 8)),
    "AvgPool2d": lambda: (nn.AvgPool2d(2), (2, 3, 8, 8)),
    "BatchNorm2d": lambda: (nn.BatchNorm2d(3), (2, 3, 8, 8)),
    "LayerNorm": lambda: (nn.LayerNorm(8), (4, 8)),
    "GELU": lambda: (nn.GELU(), (4, 8)),
    "PReLU": lambda: (nn.PReLU(), (4, 8)),
    "Softmax": lambda: (nn.Softmax(-1), (4, 8)),
    "Dropout": lambda: (nn.Dropout(0.5), (4, 8)),
    "Dropout2d": lambda: (nn.Dropout2d(0.5), (2, 3, 8, 8)),
    "AlphaDropout": lambda: (nn.AlphaDropout(0.5), (4, 8)),
    "GroupNorm": lambda: (nn.GroupNorm(3, 3), (2, 3, 8, 8)),
    "InstanceNorm2d": lambda: (nn.InstanceNorm2d(3), (2, 3, 8, 8)),
    "ConvTranspose2d": lambda: (nn.ConvTranspose2d(3, 4, 3), (2, 3, 8, 8)),
    "AdaptiveAvgPool2d": lambda: (nn.AdaptiveAvgPool2d(3), (2, 3, 8, 8)),
    "Upsample nearest": lambda: (nn.Upsample(scale_factor=2), (2, 3, 4, 4)),
    "Upsample bilinear": lambda: (nn.Upsample(scale_factor=2, mode="bilinear"), (2, 3, 4, 4)),
    "Unfold": lambda: (nn.Unfold(3), (2, 3, 8, 8)),
    "ZeroPad2d": lambda: (nn.ZeroPad2d(1), (2, 3, 8, 8)),
    "ReflectionPad2d": lambda: (nn.ReflectionPad2d(1), (2, 3, 8, 8)),
    "LSTM": lambda: (nn.LSTM(5, 7), (6, 4, 5)),
    "GRU": lambda: (nn.GRU(5, 7), (6, 4, 5)),
    "RNN": lambda: (nn.RNN(5, 7), (6, 4, 5)),
    "MultiheadAttention": lambda: (Attending(), (6, 3, 4)),
    "TransformerEncoderLayer": lambda: (nn.TransformerEncoderLayer(4, 2, 8), (6, 3, 4)),
}


class Attending(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2)

    def forward(self, x: Any) -> Any:
        return self.inner(x, x, x)[0]


# name -> what is computed of x: (8, 5), rows: (8,) and places: (8, 5), both int64 and below 5.
POSITIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "gather": lambda x, rows, places: x.gather(1, places),
    "gather rows": lambda x, rows, places: x.gather(0, places),
    "index_select": lambda x, rows, places: x.index_select(0, rows),
    "index_select columns": lambda x, rows, places: x.index_select(1, rows),
    "x[rows]": lambda x, rows, places: x[rows],
    "take_along_dim": lambda x, rows, places: x.take_along_dim(places, 1),
    "scatter": lambda x, rows, places: mg.zeros(8, 5, device="cuda").scatter(1, places, x),
    "scatter_add": lambda x, rows, places: mg.zeros(8, 5, device="cuda").scatter_add(1, places, x),
    "embedding": lambda x, rows, places: F.embedding(places, x),
    "embedding padded": lambda x, rows, places: F.embedding(rows, x, padding_idx=0),
    "one_hot": lambda x, rows, places: F.one_hot(rows, 5) * x,
    "multi_margin_loss": lambda x, rows, places: F.multi_margin_loss(x, rows),
    "x[1:]": lambda x, rows, places: x[1:],
    "split": lambda x, rows, places: x.split(4)[0],
    "pad": lambda x, rows, places: F.pad(x, (1, 1), value=3.0),
    "tril": lambda x, rows, places: x.tril(),
    "causal": lambda x, rows, places: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "cosine_similarity": lambda x, rows, places: F.cosine_similarity(x, x.detach()),
    "arange": lambda x, rows, places: x * mg.arange(5, device="cuda"),
    "fill": lambda x, rows, places: x * mg.full((8, 5), 2.5, device="cuda"),
}


def settled(call: Callable[[], Any]) -> None:
    """Hold that a computation's third call neither reads nor uploads."""
    for _ in range(2):
        call()
    before = mg.cuda.host_transfers()
    call()
    assert mg.cuda.host_transfers() == before


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_reads_and_uploads_nothing(name: str, driver: Pretended) -> None:
    others, options = LOSSES[name]()
    x = numbers(8, 5, low=0.1).requires_grad_()
    loss = getattr(F, name.partition(" ")[0])
    settled(lambda: loss(x, *others, **options).backward())
    assert driver.faults == 0


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_reads_and_uploads_nothing(name: str, driver: Pretended) -> None:
    layer, shape = LAYERS[name]()
    layer.to("cuda")
    x = numbers(*shape).requires_grad_()

    def whole() -> None:
        y = layer(x)
        (y[0] if isinstance(y, tuple) else y).sum().backward()

    settled(whole)
    assert driver.faults == 0


@pytest.mark.parametrize("name", POSITIONS)
def test_positions_are_neither_read_nor_uploaded(name: str, driver: Pretended) -> None:
    x, rows, places = numbers(8, 5).requires_grad_(), classes(8), classes(8, 5)
    settled(lambda: POSITIONS[name](x, rows, places).sum().backward())
    assert driver.faults == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gather", "index 9 is out of range for 5 entries"),
        ("x[rows]", "index 9 is out of range for 8 rows"),
        ("index_select", "index 9 is out of range for 8 rows"),
        ("scatter_add", "index 9 is out of range for 5 entries"),
        ("embedding padded", "embedding: row 9 is out of range for 8 rows"),
        ("one_hot", "one_hot: class 9 is out of range for 5 classes"),
    ],
)
def test_wrong_positions_are_told_by_the_next_read(name: str, said: str, driver: Pretended) -> None:
    x = numbers(8, 5)
    rows, places = mg.full((8,), 1, dtype=mg.int64), mg.zeros(8, 5, dtype=mg.int64)
    rows[3], places[0, 3] = 9, 9
    y = POSITIONS[name](x, rows.cuda(), places.cuda())
    target = targets.gpu()
    (number,) = target.late.pending
    target.write(target.late.words[number : number + 1], np.int32(3))  # as the kernel would
    with pytest.raises((IndexError, ValueError), match=said):
        y.sum().item()
    assert not target.late.pending and driver.faults == 0


def test_a_number_fills_without_an_upload(driver: Pretended) -> None:
    x = numbers(4, 6)
    for view in (x, x[1:], x[:, ::2], x[0]):
        settled(lambda view=view: view.fill_(0.25))
    with driver.logged() as lines:
        mg.zeros(3, 2, dtype=mg.int64, device="cuda")
    assert len(pretended.launches(lines)) == 1 and driver.faults == 0


@pytest.mark.parametrize("again", [True, False], ids=["still wrong", "overwritten"])
def test_wrong_numbers_are_told_with_the_loss(
    again: bool, driver: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = mg.tensor([0.5, 2.0]).cuda()
    loss = F.binary_cross_entropy(x, x)
    target = targets.gpu()
    (number,) = target.late.pending
    # As the kernels would: the word of the check, and the extremes that the error looks at.
    target.write(target.late.words[number : number + 1], np.int32(1))
    found = (0.5, 2.0) if again else (0.0, 1.0)
    monkeypatch.setattr(regression, "extremes", lambda array: found)
    said = r"in \[0, 1\], got 2.0;" if again else "number at position 1 of a target or an input was"
    with pytest.raises(ValueError, match=said):
        loss.item()
    assert not target.late.pending and driver.faults == 0


def test_variances_are_judged_there(driver: Pretended) -> None:
    x = mg.tensor([0.5, 2.0]).cuda()
    F.gaussian_nll_loss(x, x, x)
    assert len(targets.gpu().late.pending) == 1


# ---------------------------------------------------------------- graphs
def recorded(driver: Pretended, **options: Any) -> tuple[Any, Any]:
    """Return a step and the graph of it, called twice."""
    step = step_of(**options)
    made = mg.cuda.graph(step)
    for _ in range(2):
        made(*batch())
    assert made.last.startswith("recorded"), made.explain()
    return step, made


@pytest.mark.parametrize("clip", [False, True], ids=["plain", "clipped"])
def test_a_step_is_one_launch(clip: bool, driver: Pretended) -> None:
    _, made = recorded(driver, clip=clip)
    x, t = batch()
    made(x, t)
    before = mg.cuda.host_transfers()
    with driver.logged() as lines:
        made(x, t)
    assert mg.cuda.host_transfers() == before and made.last == "replayed"
    kinds = [line.split()[0] for line in lines]
    assert kinds.count("cuGraphLaunch") == 1
    # Two arguments go in, one result comes out; the numbers of random calls are set in six nodes.
    assert sorted(set(kinds)) == [
        "cuGraphExecKernelNodeSetParams",
        "cuGraphLaunch",
        "cuMemcpyDtoD",
    ]
    assert kinds.count("cuMemcpyDtoD") == 3
    assert kinds.count("cuGraphExecKernelNodeSetParams") == 6
    assert driver.faults == 0


def test_a_graph_launches_what_the_step_launches(driver: Pretended) -> None:
    step, (x, t) = step_of(), batch()
    for _ in range(3):
        step(x, t)
    with driver.logged() as eager:
        step(x, t)
    made = mg.cuda.graph(step)
    made(x, t)
    with driver.logged() as nodes:
        made(x, t)
    names = [line.split()[1:11] for line in pretended.calls(eager, "cuLaunchKernel")]
    assert names == [line.split()[1:11] for line in pretended.calls(nodes, "cuGraphAddKernelNode")]
    assert pretended.calls(nodes, "cuLaunchKernel") == []  # nothing is launched but the graph
    assert len(pretended.calls(nodes, "cuGraphLaunch")) == 1


def test_a_replay_counts_as_the_step_does(driver: Pretended) -> None:
    step, made = recorded(driver)
    drawn = mg.engine.random.default.calls
    mirror = targets.gpu().mirrors[id(step.optimizer._steps)]
    for _ in range(3):
        made(*batch())
    assert made.calls == {"eager": 1, "recorded": 1, "replayed": 3}
    assert set(step.optimizer._steps.tolist()) == {5} and step.optimizer._step_count == 5
    assert mirror.known == step.optimizer._steps.tobytes()
    assert mg.engine.random.default.calls == drawn or drawn == 0


def test_each_replay_draws_anew(driver: Pretended) -> None:
    _, made = recorded(driver)
    found = []
    for _ in range(2):
        with driver.logged() as lines:
            made(*batch())
        found.append(pretended.calls(lines, "cuGraphExecKernelNodeSetParams"))
    assert len(found[0]) == len(found[1]) == 6
    assert all(a != b for a, b in zip(*found, strict=True))


def test_memory_of_a_graph_is_handed_to_nobody_else(driver: Pretended) -> None:
    step = step_of()
    made = mg.cuda.graph(step)
    made(*batch())
    with driver.logged() as lines:
        made(*batch())
    named = set()
    for line in pretended.calls(lines, "cuGraphAddKernelNode"):
        values = [(int(n), int(v, 16)) for n, v in (w.split(":") for w in line.split()[15:])]
        named |= data_of(values)
    assert len(named) > 50
    others = [mg.zeros(n).cuda() for n in (1, 8, 64, 128, 200, 512, 1024) for _ in range(40)]
    mg.cuda.empty_cache()
    assert not named & {t.array.address for t in others}
    step.optimizer.zero_grad()
    del others
    mg.cuda.empty_cache()
    made(*batch())  # the driver looks at every address of every node: each is memory that is held
    assert made.last == "replayed" and driver.faults == 0


def test_memory_comes_back_with_the_graph(driver: Pretended) -> None:
    step, made = recorded(driver)
    mg.cuda.empty_cache()
    before = driver.used
    made.reset()
    step.optimizer.zero_grad()
    mg.cuda.empty_cache()
    assert driver.used < before
    made(*batch())
    assert driver.faults == 0


def test_results_are_the_callers_own(driver: Pretended) -> None:
    _, made = recorded(driver)
    first, second = made(*batch()), made(*batch())
    assert first.array.address != second.array.address
    assert first.device == "cuda"


def test_a_learning_rate_reaches_the_graph(driver: Pretended) -> None:
    step, made = recorded(driver)
    before = mg.cuda.host_transfers()["uploads"]
    step.optimizer.param_groups[0]["lr"] = 0.25
    for _ in range(3):
        made(*batch())
    # Of three calls two upload batches of their own; one more number was sent.
    assert mg.cuda.host_transfers()["uploads"] == before + 2 * 3 + 1
    assert made.calls["replayed"] == 3


def test_other_shapes_and_modes_are_recorded_anew(driver: Pretended) -> None:
    step, made = recorded(driver)
    made(*batch(8))
    assert made.last.startswith("recorded")
    made(*batch(8))
    made(*batch(16))
    assert made.calls == {"eager": 1, "recorded": 2, "replayed": 2}
    step.model.eval()
    made(*batch(8))
    assert made.last.startswith("recorded") and driver.faults == 0


def test_capture_of_arguments_on_a_gpu_is_a_graph(driver: Pretended) -> None:
    made = mg.capture(step_of())
    for _ in range(3):
        made(*batch())
    assert made.calls == {"eager": 1, "recorded": 1, "replayed": 1}


def test_an_attempt_finds_the_graph_or_runs_nothing(driver: Pretended) -> None:
    made = mg.capture(step_of())
    for _ in range(2):
        with driver.logged() as lines:
            found, reason = made.attempt(batch())
        assert found is None and reason == "no call of this kind was recorded yet"
        assert pretended.calls(lines, "cuLaunchKernel", "cuGraphLaunch") == []
        made(*batch())
    with driver.logged() as lines:
        found, reason = made.attempt(batch())
    assert found.device == "cuda" and reason is None
    assert len(pretended.calls(lines, "cuGraphLaunch")) == 1
    assert made.calls == {"eager": 1, "recorded": 1, "replayed": 1} and driver.faults == 0


def test_a_read_on_the_way_is_computed_and_said(driver: Pretended) -> None:
    step, seen = step_of(), []

    def reading(x: Any, t: Any) -> Any:
        loss = step(x, t)
        seen.append(loss.item())
        return loss

    made = mg.cuda.graph(reading)
    made(*batch())
    with driver.logged() as lines:
        made(*batch())
    kinds = [line.split()[0] for line in lines]
    # What was recorded is launched before the read, not lost.
    assert kinds.index("cuGraphLaunch") < kinds.index("cuMemcpyDtoH")
    assert "read by the host" in made.explain()
    made(*batch())
    assert made.calls == {"eager": 2, "recorded": 1, "replayed": 0}
    assert set(step.optimizer._steps.tolist()) == {3} and driver.faults == 0


def test_an_error_on_the_way_loses_nothing(driver: Pretended) -> None:
    step = step_of()
    fails = [False]

    def failing(x: Any, t: Any) -> Any:
        loss = step(x, t)
        if fails[0]:
            raise KeyError("on the way")
        return loss

    made = mg.cuda.graph(failing)
    made(*batch())
    fails[0] = True
    with driver.logged() as lines, pytest.raises(KeyError):
        made(*batch())
    assert len(pretended.calls(lines, "cuGraphLaunch")) == 1
    x, t = batch()
    with driver.logged() as lines:
        step(x, t)
    assert len(pretended.launches(lines)) > 20 and driver.faults == 0


def test_gradients_that_stay_are_left_behind(driver: Pretended) -> None:
    w = mg.ones(4).cuda().requires_grad_()

    def step(x: Any) -> Any:
        w.grad = None
        loss = (w * x).sum()
        loss.backward()
        return loss.detach()

    made = mg.cuda.graph(step)
    x = mg.ones(4).cuda()
    for _ in range(3):
        made(x)
    kept = w.grad
    w.grad = None
    made(x)
    assert w.grad is kept and made.last == "replayed" and driver.faults == 0
