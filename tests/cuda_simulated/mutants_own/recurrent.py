"""Mutants of recurrent/cuda_lstm.py and recurrent/cuda_gru.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

LSTM, LSTM_BACK = "recurrent.cuda_lstm:open_gates", "recurrent.cuda_lstm:gate_slopes"
GRU, GRU_BACK = "recurrent.cuda_gru:open_gates", "recurrent.cuda_gru:gate_slopes"
STEP = "cuda.gridDim.x * cuda.blockDim.x)"

MUTANTS = (
    Own(LSTM, "lstm_forward", "bound loosened", "while k < ", "while k <= ",
        kinds=("bounds", "wrong")),
    Own(LSTM, "lstm_forward", "gates of three", "uint32(uint32(3) * n)", "uint32(uint32(2) * n)",
        kinds=("race", "wrong")),
    Own(LSTM, "lstm_forward", "o opened by f", "sigmoid(gates[o])", "sigmoid(gates[f])",
        kinds=("wrong",)),
    Own(LSTM, "lstm_forward", "cell not bent", "h[k] = shown * bent", "h[k] = shown * cell",
        kinds=("wrong",)),
    Own(LSTM, "lstm_forward", "steps of one thread", STEP, "1)", kinds=("race",)),
    Own(LSTM_BACK, "lstm_backward", "output's gradient forgotten", "dh[k] + dy[k]", "dh[k]",
        kinds=("wrong",)),
    Own(LSTM_BACK, "lstm_backward", "cell's gradient not carried", "dc[k] = down", "dc[k] = of_f",
        kinds=("wrong",)),
    Own(LSTM_BACK, "lstm_backward", "o not written", "d[o] = of_o", "pass",
        kinds=("wrong", "uninitialised")),
    Own(GRU, "gru_forward", "first bias", "bias[uint32(k - row * n)]", "bias[0]", kinds=("wrong",)),
    Own(GRU, "gru_forward", "bias asked for", "if bias.size", "if True", kinds=("bounds",)),
    Own(GRU, "gru_forward", "z without its product", "gates[z] + product[z]", "gates[z]",
        kinds=("wrong",)),
    Own(GRU, "gru_forward", "row of the first", "row * uint32(uint32(2) * n)", "uint32(0)",
        kinds=("race", "wrong")),
    Own(GRU_BACK, "gru_backward", "both alike", "recurrent[new] = inside", "recurrent[new] = of_n",
        kinds=("wrong",)),
    Own(GRU_BACK, "gru_backward", "state's gradient not carried", "dh[k] = down", "dh[k] = of_z",
        kinds=("wrong",)),
    Own(GRU_BACK, "gru_backward", "bound loosened", "while k < ", "while k <= ",
        kinds=("bounds", "wrong")),
)  # fmt: skip
