"""Calls with arguments at and beyond the edge of what a layer, loss, optimizer or scheduler takes:
each is refused, or gives the values PyTorch gives.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

CONV = (
    "1, 1, 0", "1, 1, -1", "1, 1, 3, stride=0", "1, 1, 3, stride=-1", "1, 1, 3, dilation=0",
    "1, 1, 3, dilation=-1", "1, 1, 3, padding=-1", "1, 1, 3, padding='half'", "1, 1, 9",
    "1, 1, 3, padding='same', stride=2", "1, 1, 3, padding_mode='mirror'", "1, 1, 3, groups=0",
    "1, 1, 3, groups=-1", "3, 4, 3, groups=2", "4, 3, 3, groups=2", "1, 1, 2.5", "0, 1, 3",
    "1, 0, 3", "-1, 1, 3", "1, -1, 3", "1, 1, (3, 3, 3)", "1, 1, 3, stride=(1, 1, 1)",
    "1, 1, 3, padding=(1, 1, 1)", "1, 1, 3, padding=3, padding_mode='reflect'",
    "1, 1, 3, padding='same'", "1, 1, 3, padding='valid'", "1, 1, 3, padding=[1]", "1, 1, 3, True",
    "1, 1, 3, stride=2.0", "1, 1, 3, stride=[2]", "1, 1, '3'", "1, 1, None",
    "1, 1, 3, padding=None",
    "1, 1, 3, padding=9, padding_mode='circular'", "1, 1, 3, padding=2, padding_mode='replicate'",
    "1, 1, 1, padding=1, padding_mode='zeros'",
)  # fmt: skip
POOL = (
    "0", "-1", "2, 0", "2, -1", "2, 2, -1", "2, 2, 2", "3, 2, 1", "9", "2.5", "'2'", "(2, 2, 2)",
    "2, (1, 1, 1)", "2, None", "[2]", "2, [2], [1]", "2, 2, 1, ceil_mode=True", "None", "True",
    "3, 5, 1, ceil_mode=True", "2, []", "()",
)  # fmt: skip
ONLY_MAX = ("2, dilation=0", "2, dilation=-1", "2, dilation=9", "2, 1, 1, 2", "1, 1, 0, 3")
ONLY_AVG2 = ("2, divisor_override=0", "2, divisor_override=-1", "2, divisor_override=3")
SHAPES = ("x()", "x(8)", "x(1, 8)", "x(1, 1, 8)", "x(1, 1, 8, 8)", "x(2, 1, 1, 8, 8)")
EMPTY = (
    "x(0, 1, 8)",
    "x(1, 0, 8)",
    "x(1, 1, 0)",
    "x(0, 1, 8, 8)",
    "x(1, 1, 0, 8)",
    "x(1, 1, 8, 0)",
)
OUTPUTS = ("0", "-1", "3", "9", "None", "2.5", "(2, 2)", "(2, None)", "(2, 2, 2)", "[3]", "'3'")
LOSSES = {
    "mse_loss": "x(2, 3), 2 * x(2, 3)",
    "l1_loss": "x(2, 3), 2 * x(2, 3)",
    "smooth_l1_loss": "x(2, 3), 2 * x(2, 3)",
    "huber_loss": "x(2, 3), 2 * x(2, 3)",
    "cross_entropy": "x(2, 3), i(0, 2)",
    "nll_loss": "x(2, 3), i(0, 2)",
    "binary_cross_entropy": "x(2, 3), x(2, 3)",
    "binary_cross_entropy_with_logits": "x(2, 3), x(2, 3)",
}
REDUCTIONS = ("'mean'", "'sum'", "'none'", "'average'", "'Mean'", "''", "None", "0")
CLASS_LOSSES = (
    "x(2, 3), i(0, 3)", "x(2, 3), i(0, -1)", "x(2, 3), i(0, -100)", "x(2, 3), i(0)", "x(2, 3), i()",
    "x(2, 3), x(2)", "x(3), i(1)", "x(3), n(1)", "x(2, 3), i(0, 1), weight=x(2)",
    "x(2, 3), i(0, 1), weight=x(3)", "x(2, 3), i(0, 1), weight=x(3, 1)", "x(2, 3, 2), i(0, 1)",
    "x(2, 3, 2), n(2, 2)", "x(2, 3), i(0, 1), ignore_index=0", "x(2, 3), i(0, 9), ignore_index=9",
    "x(2, 3), n(2, 3)", "x(2, 0), i(0, 0)", "x(0, 3), i()", "x(), n()", "x(2, 1, 3), n(2, 3)",
)  # fmt: skip
SMOOTHED = ("-0.1", "1.1", "0.0", "1.0", "0.5", "'a'")
LAYERS = (
    "nn.Linear(3, 2)|x(2, 4)", "nn.Linear(3, 2)|x(3)", "nn.Linear(3, 2)|x()",
    "nn.Linear(-1, 2)|x(2)",
    "nn.Linear(3, -1)|x(3)", "nn.Linear(0, 2)|x(2, 0)", "nn.Linear(3, 0)|x(2, 3)",
    "nn.Linear(2.5, 2)|x(2)", "nn.Linear(3, 2)|i(1, 2, 3)", "nn.Linear('3', 2)|x(3)",
    "nn.Linear(3, 2)|x(0, 3)", "nn.Linear(3, 2)|x(2, 2, 2, 3)", "nn.Linear(3, None)|x(3)",
    "nn.Embedding(4, 2)|i(0, 4)", "nn.Embedding(4, 2)|i(0, -1)", "nn.Embedding(4, 2)|x(2)",
    "nn.Embedding(4, 2, padding_idx=4)|i(0)", "nn.Embedding(4, 2, padding_idx=-5)|i(0)",
    "nn.Embedding(4, 2, padding_idx=-1)|i(0, 3)", "nn.Embedding(4, 2, padding_idx=-4)|i(0, 3)",
    "nn.Embedding(-1, 2)|i(0)", "nn.Embedding(4, -2)|i(0)", "nn.Embedding(0, 2)|i()",
    "nn.Embedding(0, 2)|i(0)", "nn.Embedding(4, 0)|i(0)", "nn.Embedding(4, 2)|i()",
    "nn.Embedding(4, 2)|n()", "nn.Embedding(2.5, 2)|i(0)",
    "nn.Embedding(4, 2, padding_idx=1.5)|i(0)",
    "nn.Dropout(-0.1)|x(3)", "nn.Dropout(1.1)|x(3)", "nn.Dropout(0.0)|x(3)", "nn.Dropout(1.0)|x(3)",
    "nn.Dropout(float('nan'))|x(3)", "nn.Dropout('a')|x(3)", "nn.Dropout(None)|x(3)",
    "nn.LayerNorm(3)|x(2, 4)", "nn.LayerNorm(3)|x()", "nn.LayerNorm(3)|x(3)",
    "nn.LayerNorm([])|x(3)",
    "nn.LayerNorm((2, 3))|x(3)", "nn.LayerNorm((2, 3))|x(2, 3)", "nn.LayerNorm((3, 2))|x(2, 3)",
    "nn.LayerNorm(-1)|x(3)", "nn.LayerNorm(0)|x(2, 0)", "nn.LayerNorm(2.5)|x(2)",
    "nn.LayerNorm(3, eps=0.0)|x(2, 3)", "nn.LayerNorm(3)|i(1, 2, 3)", "nn.LayerNorm(3)|x(0, 3)",
    "nn.LayerNorm(3, eps='a')|x(3)", "nn.LayerNorm(None)|x(3)", "nn.LayerNorm((1, 3))|x(2, 3)",
    "nn.Flatten(0)|x()", "nn.Flatten(1)|x()", "nn.Flatten(1)|x(3)", "nn.Flatten(2)|x(2, 3)",
    "nn.Flatten(2, 1)|x(2, 3, 4)", "nn.Flatten(0, 5)|x(2, 3)", "nn.Flatten(-3)|x(2, 3)",
    "nn.Flatten()|x(2, 3, 4)", "nn.Flatten(0)|x(0, 3)", "nn.Flatten(1.5)|x(2, 3)",
    "nn.Unflatten(1, (2, 3))|x(2, 6)", "nn.Unflatten(1, (2, 4))|x(2, 6)",
    "nn.Unflatten(1, (2, -1))|x(2, 6)", "nn.Unflatten(1, (-1, -1))|x(2, 6)",
    "nn.Unflatten(2, (2, 3))|x(2, 6)", "nn.Unflatten(1, ())|x(2, 6)", "nn.Unflatten(1, 6)|x(2, 6)",
    "nn.Unflatten(1, (4, -1))|x(2, 6)", "nn.Unflatten(-1, (2, 3))|x(2, 6)",
    "nn.Unflatten(1, (0, -1))|x(2, 0)", "nn.Unflatten(1, (2.0, 3.0))|x(2, 6)",
    "nn.GELU('erf')|x(3)", "nn.GELU('tanh')|x(3)", "nn.GELU(None)|x(3)",
    "nn.Hardtanh(1.0, -1.0)|x(3)", "nn.Hardtanh(1.0, 1.0)|x(3)", "nn.Hardtanh(0.2, 0.4)|x(3)",
    "nn.LeakyReLU(-0.5)|-x(3)", "nn.LeakyReLU('a')|x(3)", "nn.LeakyReLU(None)|x(3)",
    "nn.LeakyReLU(2.0)|-x(3)", "nn.ELU(-1.0)|-x(3)", "nn.ELU('a')|x(3)", "nn.ELU(0.0)|-x(3)",
    "nn.Softplus(2.0, -1.0)|x(3)", "nn.Softplus(-2.0)|x(3)", "nn.Softplus('a')|x(3)",
    "nn.Softmax(2)|x(2, 3)", "nn.Softmax(-3)|x(2, 3)", "nn.Softmax(0)|x()", "nn.Softmax(1)|x()",
    "nn.Softmax(1.5)|x(2, 3)", "nn.LogSoftmax(2)|x(2, 3)", "nn.LogSoftmax(-1)|x()",
    "nn.Softmax(-1)|x(2, 0)", "nn.Softmax(0)|i(1, 2)", "nn.LogSoftmax(0)|i(1, 2)",
    "nn.Sequential(1)|x(3)", "nn.Sequential(nn.ReLU)|x(3)", "nn.ModuleList([1])[0]|x(3)",
    "nn.ModuleDict({'a.b': nn.ReLU()})['a.b']|x(3)", "nn.ModuleDict({'': nn.ReLU()})['']|x(3)",
    "nn.ModuleDict({1: nn.ReLU()})[1]|x(3)", "nn.Sequential()|x(3)",
)  # fmt: skip
NORM = (
    "2", "3", "0", "-1", "2.5", "'2'", "2, eps=0.0", "2, eps=-1.0", "2, momentum=None",
    "2, momentum=1.5", "2, momentum=-1.0", "2, momentum='a'", "2, affine=False", "2, eps='a'",
    "2, track_running_stats=False",
)  # fmt: skip
NORM_SHAPES = ("x()", "x(2)", "x(2, 2)", "x(1, 2)", "x(2, 2, 3)", "x(2, 2, 3, 3)", "x(1, 2, 1, 1)",
               "x(2, 2, 2, 2, 2)", "x(0, 2)", "x(2, 2, 0)", "x(0, 2, 3, 3)", "i(1, 2)")  # fmt: skip
FUNCTIONS = (
    "F.dropout(x(3), -0.1)", "F.dropout(x(3), 1.5)", "F.dropout(x(3), 2.0, training=False)",
    "F.one_hot(i(0, 2), 2)", "F.one_hot(i(0, 2), 3)", "F.one_hot(i(0, -1))", "F.one_hot(i())",
    "F.one_hot(i(0, 1), 0)", "F.one_hot(i(0, 1), -2)", "F.one_hot(x(2))", "F.one_hot(i(), 3)",
    "F.one_hot(n(), 2)", "F.normalize(x(2, 3), dim=2)", "F.normalize(x(2, 3), dim=-3)",
    "F.normalize(x(2, 3), p=0.0)", "F.normalize(x(2, 3), p=-1.0)", "F.normalize(x(3))",
    "F.normalize(x(2, 3), p=float('inf'))", "F.normalize(x(2, 3), eps=-1.0)",
    "F.normalize(x(), dim=0)",
    "F.linear(x(2, 3), x(3, 2))", "F.linear(x(2, 3), x(3))", "F.linear(x(3), x(3))",
    "F.linear(x(2, 3), x(2, 3), x(3))", "F.linear(x(2, 3), x(2, 3), x(2))",
    "F.linear(x(2, 3), x(2, 3), x(1))", "F.linear(x(2, 3), x(2, 3), x())",
    "F.linear(x(2, 3), x(2, 3), x(1, 2))", "F.linear(x(2, 3), x(2, 2, 3))",
    "F.linear(x(3), x(2, 3))",
    "F.embedding(i(0, 3), x(3, 2))", "F.embedding(i(0), x(3))", "F.embedding(i(0), x(3, 2, 2))",
    "F.embedding(x(2), x(3, 2))", "F.embedding(i(0), x(3, 2), padding_idx=3)",
    "F.embedding(i(0), x(3, 2), padding_idx=-4)", "F.embedding(i(0), x(3, 2), padding_idx=-3)",
    "F.embedding(i(0), i(1, 2, 3))",
    "F.layer_norm(x(2, 3), (2,))", "F.layer_norm(x(2, 3), (3,), x(2))", "F.layer_norm(x(2, 3), ())",
    "F.layer_norm(x(2, 3), (3,), x(3), x(2))", "F.layer_norm(x(2, 3), (3,), x(1, 3))",
    "F.layer_norm(x(2, 3), 3)", "F.layer_norm(x(2, 3), (3,), x(1))",
    "F.layer_norm(x(2, 3), [3], x())",
    "F.batch_norm(x(3, 2), None, None)", "F.batch_norm(x(3, 2), None, None, training=True)",
    "F.batch_norm(x(3, 2), x(3), x(3))", "F.batch_norm(x(3, 2), x(2), x(3))",
    "F.batch_norm(x(3, 2), x(2), x(2), x(3))", "F.batch_norm(x(3, 2), x(2), x(2), x(2), x(3))",
    "F.batch_norm(x(3, 2), x(2), None)", "F.batch_norm(x(3, 2), x(2), None, training=True)",
    "F.batch_norm(x(3, 2), x(1, 2), x(1, 2))", "F.batch_norm(x(3, 2), x(1), x(1))",
    "F.batch_norm(x(3, 2), x(2), x(2), x(1))", "F.batch_norm(x(3, 2), x(2), x(2), eps=0.0)",
    "F.batch_norm(x(1, 2), None, None, training=True)", "F.batch_norm(x(2), x(2), x(2))",
    "F.conv1d(x(1, 2, 8), x(1, 1, 3))", "F.conv1d(x(1, 2, 8), x(1, 2))",
    "F.conv1d(x(1, 2, 8), x(1, 2, 3), x(2))", "F.conv1d(x(1, 2, 8), x(1, 2, 3), x(1, 1))",
    "F.conv1d(x(1, 2, 8), x(3, 1, 3), groups=2)", "F.conv1d(x(1, 2, 8), x(2, 1, 3), groups=2)",
    "F.conv1d(x(1, 2, 8), x(0, 2, 3))", "F.conv1d(x(1, 2, 8), x(1, 2, 0))",
    "F.conv1d(x(1, 2, 8), x(1, 2, 9))", "F.conv1d(x(1, 2, 8), x(1, 2, 3, 3))",
    "F.conv1d(x(1, 2, 8), x(2, 2, 3), x(1))", "F.conv1d(x(1, 2, 8), x(1, 2, 3), x())",
    "F.conv2d(x(1, 2, 8, 8), x(1, 2, 3))", "F.conv2d(x(1, 2, 8, 8), x(1, 1, 3, 3))",
    "F.conv2d(x(1, 2, 8, 8), x(2, 2, 3, 3), x(3))", "F.conv2d(x(1, 2, 8, 8), x(1, 2, 0, 3))",
    "F.conv2d(x(1, 2, 8, 8), x(1, 2, 3, 3), stride=(1, 0))", "F.conv2d(x(2, 8, 8), x(1, 2, 3, 3))",
    "F.conv2d(x(1, 2, 8, 8), x(1, 2, 3, 3), padding=(0, -1))", "F.conv2d(i(1), x(1, 2, 3, 3))",
    "F.gelu(x(3), approximate='erf')", "F.gelu(i(1))", "F.elu(i(1))", "F.softplus(i(1))",
    "F.hardtanh(x(3), 1.0, -1.0)", "F.leaky_relu(i(1))", "F.silu(i(1))", "F.logsigmoid(i(1))",
    "F.sigmoid(i(1))", "F.relu(i(-1))", "F.relu6(i(-1, 9))", "F.tanh(i(1))",
    "F.smooth_l1_loss(x(3), x(3), beta=-1.0)", "F.smooth_l1_loss(x(3), 2 * x(3), beta=0.0)",
    "F.smooth_l1_loss(x(3), x(3), beta='a')", "F.huber_loss(x(3), x(3), delta=0.0)",
    "F.huber_loss(x(3), x(3), delta=-1.0)", "F.huber_loss(x(3), x(3), delta='a')",
    "F.binary_cross_entropy(2 * x(30), x(30))", "F.binary_cross_entropy(-x(3), x(3))",
    "F.binary_cross_entropy(x(3), x(4))", "F.binary_cross_entropy(x(3), x(3), weight=x(4))",
    "F.binary_cross_entropy(x(3), i(0, 1, 1))", "F.binary_cross_entropy(x(3), x(3), weight=x(1))",
    "F.binary_cross_entropy_with_logits(x(3), x(4))", "F.binary_cross_entropy(x(3), x(1, 3))",
    "F.binary_cross_entropy_with_logits(x(3), x(3), pos_weight=x(2))",
    "F.binary_cross_entropy_with_logits(x(3), x(3), pos_weight=x(1))",
    "F.binary_cross_entropy_with_logits(x(3), x(3), pos_weight=x(3))",
    "F.binary_cross_entropy_with_logits(x(3), x(3), weight=x(2))",
    "F.mse_loss(x(2, 3), x(2, 2))", "F.l1_loss(x(2, 3), x(4))", "F.huber_loss(x(2, 3), x(2))",
    "F.mse_loss(x(3), None)", "F.cross_entropy(x(2, 3), None)", "F.cross_entropy(None, i(0))",
    "F.nll_loss(x(2, 3), None)", "F.huber_loss(None, x(3))", "F.mse_loss(x(3), [1.0, 2.0, 3.0])",
    "F.binary_cross_entropy(x(3), None)", "F.binary_cross_entropy_with_logits(None, None)",
    "F.relu(None)", "F.gelu('a')", "F.softmax(None, 0)", "F.linear(x(3), None)",
    "F.linear(None, x(3))",
    "F.linear([1.0], x(1, 1))", "F.conv1d(None, x(1, 1, 3))", "F.conv1d(x(1, 1, 3), None)",
    "F.conv2d(x(1, 1, 3, 3), [1.0])", "F.max_pool1d(None, 2)", "F.avg_pool2d(None, 2)",
    "F.max_pool2d([1.0], 2)", "F.adaptive_avg_pool1d(None, 2)", "F.layer_norm(None, (3,))",
    "F.layer_norm(x(3), (3,), [1.0, 1.0, 1.0])", "F.batch_norm(None, x(2), x(2))",
    "F.batch_norm(x(3, 2), [0.0, 0.0], [1.0, 1.0])", "F.embedding(None, x(3, 2))",
    "F.embedding(i(0), None)", "F.embedding([0], x(3, 2))", "F.one_hot(None)", "F.one_hot([0, 1])",
    "F.dropout(None)", "F.normalize(None)", "F.leaky_relu(x(3), 'a')", "F.elu(x(3), None)",
    "F.softplus(x(3), 'a')", "F.hardtanh(x(3), 'a')", "F.hardtanh(x(3), None)",
    "F.dropout(x(3), 'a')",
    "F.softmax(x(3), 'a')", "F.softmax(x(2, 3), 0.5)", "F.normalize(x(2, 3), p='a')",
    "F.normalize(x(2, 3), eps='a')", "F.layer_norm(x(3), (3,), eps='a')",
    "F.batch_norm(x(3, 2), x(2), x(2), eps='a')", "F.one_hot(i(0), 'a')", "F.one_hot(i(0), 1.5)",
    "F.softplus(x(3), 2.0, 'a')", "F.softplus(x(3), 1.0, None)", "F.normalize(x(2, 3), dim='a')",
    "F.batch_norm(x(3, 2), x(2), x(2), training=True, momentum='a')",
    "F.cross_entropy(x(2, 3), i(0, 1), ignore_index='a')",
    "F.cross_entropy(x(2, 3), i(0, 1), [1.0])",
    "F.cross_entropy(x(2, 3), i(0, 1), ignore_index=1.5)", "F.nll_loss(x(2, 3), i(0, 1), 'a')",
    "F.mse_loss(x(3), x(3), weight='a')", "F.binary_cross_entropy(x(3), x(3), 1.0)",
)  # fmt: skip
GROUPS = (
    "[]", "None", "()", "1", "'ab'", "{}", "[1.0]", "[None]", "p(3)", "[p(3)]", "[[p(3)]]", "[{}]",
    "[p(3), p(2)]", "[(w := p(3)), w]", "[{'params': [p(3)]}, {'params': []}]", "[{'lr': 1.0}]",
    "[{'params': []}]", "[{'params': p(3)}]", "[{'params': [1.0]}]", "[{'params': None}]",
    "[{'params': [(w := p(3))]}, {'params': [w]}]", "[p(3) * 2]", "iter([p(3)])", "{p(3)}",
    "[('a', p(3))]", "[('a', p(3)), ('a', p(2))]", "[('a', p(3)), p(2)]", "[{'params': {p(3)}}]",
    "[x(3)]", "[{'params': [p(3)], 'lr': 0.5}]", "[{'params': [p(3)], 'lr': -0.5}]", "{'a': p(3)}",
    "[{'params': [p(3)]}, p(2)]", "[p()]", "[p(0)]",
)  # fmt: skip
BETAS = ("(0.9, 1.0)", "(1.0, 0.9)", "(-0.1, 0.9)", "(0.9, -0.1)", "(0.0, 0.0)", "(0.9,)", "0.9",
         "(0.9, 0.9, 0.9)", "[0.9, 0.99]", "None", "('a', 0.9)")  # fmt: skip
NUMBERS = ("-0.1", "0.0", "2.0", "'a'", "None", "float('nan')", "float('inf')", "1")
OPTIMIZERS = {
    "SGD": ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"),
    "Adam": ("lr", "eps", "weight_decay", "betas"),
    "AdamW": ("lr", "eps", "weight_decay", "betas"),
    "NAdam": ("lr", "eps", "weight_decay", "betas", "momentum_decay"),
    "RAdam": ("lr", "eps", "weight_decay", "betas"),
    "Adagrad": ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"),
    "RMSprop": ("lr", "alpha", "eps", "weight_decay", "momentum"),
}
SGD = ("nesterov=True", "nesterov=True, momentum=0.9", "nesterov=True, momentum=0.9, dampening=0.1")
COUNTS = ("-1", "0", "1", "2", "2.5", "'a'", "None")
SHARES = ("-0.5", "0.0", "0.5", "1.0", "1.5", "'a'", "None")
SCHEDULERS = {
    "StepLR": ("2", {"step_size": COUNTS, "gamma": SHARES}),
    "MultiStepLR": ("[2]", {"gamma": SHARES, "milestones": (
        "[]", "[3, 1]", "[2, 2]", "[-1]", "[0]", "[1.5]", "2", "None", "['a']", "(1, 3)",
    )}),
    "ConstantLR": ("", {"factor": SHARES, "total_iters": COUNTS}),
    "LinearLR": ("", {"start_factor": SHARES, "end_factor": SHARES, "total_iters": COUNTS}),
    "ExponentialLR": ("0.5", {"gamma": SHARES}),
    "PolynomialLR": ("", {"total_iters": COUNTS, "power": SHARES}),
    "CosineAnnealingLR": ("3", {"T_max": COUNTS, "eta_min": ("-1.0", "0.0", "2.0", "'a'", "None")}),
    "CosineAnnealingWarmRestarts": ("3", {
        "T_0": COUNTS, "T_mult": COUNTS, "eta_min": ("-1.0", "0.0", "2.0", "'a'", "None"),
    }),
    "OneCycleLR": ("1.0, total_steps=9", {
        "pct_start": SHARES, "total_steps": COUNTS, "max_lr": ("-1.0", "0.0", "[1.0]", "[1.0, 2.0]",
        "[]", "'a'", "None"), "anneal_strategy": ("'cos'", "'linear'", "'exp'", "None"),
        "div_factor": SHARES, "final_div_factor": SHARES,
        "max_momentum": ("1.5", "[0.9, 0.8]", "'a'"),
        "epochs": ("3",), "three_phase": ("True",), "base_momentum": ("1.5", "[0.9, 0.8]", "'a'"),
    }),
    "CyclicLR": ("0.1, 1.0, 2", {
        "mode": ("'triangular'", "'triangular2'", "'exp_range'", "'triangle'", "None"),
        "step_size_up": COUNTS, "step_size_down": COUNTS, "gamma": SHARES,
        "base_lr": ("-1.0", "[0.1]", "[0.1, 0.2]", "2.0", "'a'", "None"),
        "max_lr": ("-1.0", "[0.1]", "[0.1, 0.2]", "0.01", "'a'", "None"),
        "scale_mode": ("'cycle'", "'iterations'", "'cycles'"), "scale_fn": ("1", "lambda k: 0.5"),
    }),
    "ReduceLROnPlateau": ("", {
        "factor": SHARES, "mode": ("'min'", "'max'", "'Min'", "None"), "patience": COUNTS,
        "threshold_mode": ("'rel'", "'abs'", "'relative'", "None"), "cooldown": COUNTS,
        "min_lr": ("-1.0", "0.3", "[0.3]", "[0.3, 0.2]", "'a'", "None"), "eps": SHARES,
        "threshold": SHARES,
    }),
    "LambdaLR": ("lambda k: 0.5 ** k", {"lr_lambda": (
        "[lambda k: 0.5]", "[lambda k: 0.5] * 2", "[]", "1", "None", "lambda k: 'a'",
    )}),
    "MultiplicativeLR": ("lambda k: 0.5", {"lr_lambda": (
        "[lambda k: 0.5]", "[lambda k: 0.5] * 2", "[]", "1", "None",
    )}),
}  # fmt: skip
LAST = ("-2", "-1", "0", "3", "'a'", "None", "1.5")
MORE_SCHEDULES = (
    "S.OneCycleLR(o(), 1.0)", "S.OneCycleLR(o(), 1.0, epochs=3)",
    "S.OneCycleLR(o(), 1.0, steps_per_epoch=3)",
    "S.OneCycleLR(o(), 1.0, epochs=3, steps_per_epoch=3)",
    "S.OneCycleLR(o(), 1.0, epochs=0, steps_per_epoch=3)",
    "S.OneCycleLR(o(), 1.0, epochs=3, steps_per_epoch=0)",
    "S.OneCycleLR(o(), 1.0, epochs=3, steps_per_epoch=-3)",
    "S.OneCycleLR(optim.Adagrad([p(3)]), 1.0, 9)", "S.OneCycleLR(optim.Adam([p(3)]), 1.0, 9)",
    "S.CyclicLR(optim.Adam([p(3)]), 0.1, 1.0, 2)", "S.CyclicLR(optim.Adagrad([p(3)]), 0.1, 1.0, 2)",
    "S.CyclicLR(optim.Adagrad([p(3)]), 0.1, 1.0, 2, cycle_momentum=False)",
    "S.StepLR(None, 2)", "S.StepLR([p(3)], 2)", "S.ReduceLROnPlateau(None)",
    "S.ReduceLROnPlateau(o(), 'min', 1.0)", "S.SequentialLR(o(), [], [])",
    "S.SequentialLR((q := o()), [S.StepLR(q, 1)], [])",
    "S.SequentialLR((q := o()), [S.StepLR(q, 1)], [2])",
    "S.SequentialLR((q := o()), [S.StepLR(q, 1), S.StepLR(q, 2)], [2])",
    "S.SequentialLR((q := o()), [S.StepLR(q, 1), S.StepLR(q, 2)], [])",
    "S.SequentialLR((q := o()), [S.StepLR(q, 1), S.StepLR(o(), 2)], [2])",
    "S.SequentialLR((q := o()), [S.StepLR(q, 1), S.ReduceLROnPlateau(q)], [2])",
    "S.SequentialLR((q := o()), [S.StepLR(q, 1), 1], [2])",
    "S.SequentialLR((q := o()), [S.StepLR(q, 1), S.StepLR(q, 2)], [-1])",
    "S.SequentialLR((q := o()), [S.StepLR(q, 1), S.StepLR(q, 2)], ['a'])",
    "S.SequentialLR((q := o()), [S.StepLR(q, 1), S.StepLR(q, 2)], None)",
    "S.SequentialLR((q := o()), None, [])", "S.SequentialLR((q := o()), S.StepLR(q, 1), [])",
    "S.ChainedScheduler([])", "S.ChainedScheduler(None)", "S.ChainedScheduler([1])",
    "S.ChainedScheduler([S.StepLR(o(), 1), S.StepLR(o(), 1)])",
    "S.ChainedScheduler([S.StepLR(q := o(), 1), S.StepLR(q, 1)])",
    "S.ChainedScheduler([S.StepLR(q := o(), 1)], o())",
)  # fmt: skip


def layers() -> Iterator[str]:
    """Yield a layer, a bar and its input."""
    yield from LAYERS
    for dims in "12":
        deep = "x(1, {}, 8)" if dims == "1" else "x(1, {}, 8, 8)"
        for options in CONV:
            given = deep.format(options.split(",")[0])
            yield f"nn.Conv{dims}d({options})|{given if '-' not in given else deep.format(1)}"
        yield from (f"nn.Conv{dims}d({k}, 1, 3)|{x}" for k in (1, 2) for x in SHAPES + EMPTY)
        for kind in ("Max", "Avg"):
            own = ONLY_MAX if kind == "Max" else ONLY_AVG2 if dims == "2" else ()
            yield from (f"nn.{kind}Pool{dims}d({o})|{deep.format(1)}" for o in POOL + own)
            yield from (f"nn.{kind}Pool{dims}d(2)|{x}" for x in SHAPES + EMPTY)
            yield from (f"nn.Adaptive{kind}Pool{dims}d({o})|{deep.format(1)}" for o in OUTPUTS)
            yield from (f"nn.Adaptive{kind}Pool{dims}d(2)|{x}" for x in SHAPES + EMPTY)
        for options in NORM:
            yield f"nn.BatchNorm{dims}d({options})|{deep.format(2)}"
        yield from (f"nn.BatchNorm{dims}d(2)|{x}" for x in NORM_SHAPES)
        yield from (f"nn.BatchNorm{dims}d(2).eval()|{x}" for x in NORM_SHAPES)


def losses() -> Iterator[str]:
    """Yield calls of losses and of layers' functions."""
    for name, given in LOSSES.items():
        yield from (f"F.{name}({given}, reduction={r})" for r in REDUCTIONS)
    for name, case in itertools.product(("cross_entropy", "nll_loss"), CLASS_LOSSES):
        yield f"F.{name}({case})"
    yield from (f"F.cross_entropy(x(2, 3), i(0, 2), label_smoothing={s})" for s in SMOOTHED)
    yield from FUNCTIONS


def optimizers() -> Iterator[str]:
    """Yield makings of optimizers."""
    yield from (f"optim.{kind}({given})" for kind in ("SGD", "AdamW") for given in GROUPS)
    for kind, names in OPTIMIZERS.items():
        for name in names:
            values = BETAS if name == "betas" else NUMBERS
            yield from (f"optim.{kind}([p(3)], {name}={value})" for value in values)
    yield from (f"optim.SGD([p(3)], {options})" for options in SGD)


def schedulers() -> Iterator[str]:
    """Yield makings of schedulers."""
    for kind, (given, options) in SCHEDULERS.items():
        names = list(options)
        for name in names:
            for value in options[name]:
                rest = [f"{name}={value}", *_without(kind, given, name)]
                yield f"S.{kind}(o(), {', '.join(rest)})"
        if kind != "ReduceLROnPlateau":
            rest = [given] if given else []
            yield from (f"S.{kind}(o(), {', '.join([*rest, f'last_epoch={k}'])})" for k in LAST)
    yield from MORE_SCHEDULES


FIRST = {
    "StepLR": ["step_size=2"], "MultiStepLR": ["milestones=[2]"], "ExponentialLR": [],
    "CosineAnnealingLR": ["T_max=3"], "CosineAnnealingWarmRestarts": ["T_0=3"],
    "OneCycleLR": ["max_lr=1.0", "total_steps=9"],
    "CyclicLR": ["base_lr=0.1", "max_lr=1.0", "step_size_up=2"],
}  # fmt: skip


def _without(kind: str, given: str, name: str) -> list[str]:
    return [option for option in FIRST.get(kind, []) if not option.startswith(name + "=")]


KINDS = {"layer": layers, "loss": losses, "optimizer": optimizers, "scheduler": schedulers}
