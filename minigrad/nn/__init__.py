"""Neural networks: modules, parameters, layers, losses, and their functions in
`minigrad.nn.functional`.
"""

from minigrad.nn import functional, init, utils
from minigrad.nn.layers.activation import ELU as ELU
from minigrad.nn.layers.activation import GELU as GELU
from minigrad.nn.layers.activation import Hardtanh as Hardtanh
from minigrad.nn.layers.activation import LeakyReLU as LeakyReLU
from minigrad.nn.layers.activation import LogSigmoid as LogSigmoid
from minigrad.nn.layers.activation import LogSoftmax as LogSoftmax
from minigrad.nn.layers.activation import ReLU as ReLU
from minigrad.nn.layers.activation import ReLU6 as ReLU6
from minigrad.nn.layers.activation import Sigmoid as Sigmoid
from minigrad.nn.layers.activation import SiLU as SiLU
from minigrad.nn.layers.activation import Softmax as Softmax
from minigrad.nn.layers.activation import Softplus as Softplus
from minigrad.nn.layers.activation import Tanh as Tanh
from minigrad.nn.layers.container import ModuleDict as ModuleDict
from minigrad.nn.layers.container import ModuleList as ModuleList
from minigrad.nn.layers.container import Sequential as Sequential
from minigrad.nn.layers.conv import Conv1d as Conv1d
from minigrad.nn.layers.conv import Conv2d as Conv2d
from minigrad.nn.layers.dropout import Dropout as Dropout
from minigrad.nn.layers.embedding import Embedding as Embedding
from minigrad.nn.layers.flatten import Flatten as Flatten
from minigrad.nn.layers.flatten import Unflatten as Unflatten
from minigrad.nn.layers.lazy import LazyBatchNorm1d as LazyBatchNorm1d
from minigrad.nn.layers.lazy import LazyBatchNorm2d as LazyBatchNorm2d
from minigrad.nn.layers.lazy import LazyConv1d as LazyConv1d
from minigrad.nn.layers.lazy import LazyConv2d as LazyConv2d
from minigrad.nn.layers.lazy import LazyLinear as LazyLinear
from minigrad.nn.layers.lazy import LazyModuleMixin as LazyModuleMixin
from minigrad.nn.layers.linear import Identity as Identity
from minigrad.nn.layers.linear import Linear as Linear
from minigrad.nn.layers.loss import BCELoss as BCELoss
from minigrad.nn.layers.loss import BCEWithLogitsLoss as BCEWithLogitsLoss
from minigrad.nn.layers.loss import CrossEntropyLoss as CrossEntropyLoss
from minigrad.nn.layers.loss import HuberLoss as HuberLoss
from minigrad.nn.layers.loss import L1Loss as L1Loss
from minigrad.nn.layers.loss import MSELoss as MSELoss
from minigrad.nn.layers.loss import NLLLoss as NLLLoss
from minigrad.nn.layers.loss import SmoothL1Loss as SmoothL1Loss
from minigrad.nn.layers.norm import BatchNorm1d as BatchNorm1d
from minigrad.nn.layers.norm import BatchNorm2d as BatchNorm2d
from minigrad.nn.layers.norm import LayerNorm as LayerNorm
from minigrad.nn.layers.pooling import AdaptiveAvgPool1d as AdaptiveAvgPool1d
from minigrad.nn.layers.pooling import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from minigrad.nn.layers.pooling import AdaptiveMaxPool1d as AdaptiveMaxPool1d
from minigrad.nn.layers.pooling import AdaptiveMaxPool2d as AdaptiveMaxPool2d
from minigrad.nn.layers.pooling import AvgPool1d as AvgPool1d
from minigrad.nn.layers.pooling import AvgPool2d as AvgPool2d
from minigrad.nn.layers.pooling import MaxPool1d as MaxPool1d
from minigrad.nn.layers.pooling import MaxPool2d as MaxPool2d
from minigrad.nn.layers.recurrent import GRU as GRU
from minigrad.nn.layers.recurrent import LSTM as LSTM
from minigrad.nn.layers.recurrent import RNN as RNN
from minigrad.nn.layers.recurrent import GRUCell as GRUCell
from minigrad.nn.layers.recurrent import LSTMCell as LSTMCell
from minigrad.nn.layers.recurrent import RNNBase as RNNBase
from minigrad.nn.layers.recurrent import RNNCell as RNNCell
from minigrad.nn.layers.recurrent import RNNCellBase as RNNCellBase
from minigrad.nn.module import MODULES as MODULES
from minigrad.nn.module import Module as Module
from minigrad.nn.parameter import Parameter as Parameter
from minigrad.nn.parameter import UninitializedBuffer as UninitializedBuffer
from minigrad.nn.parameter import UninitializedParameter as UninitializedParameter

__all__ = ["MODULES", "Module", "Parameter", "functional", "init", "utils"]
__all__ += sorted(MODULES)
