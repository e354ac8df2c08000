"""Recurrent layers over all their steps: LSTM and GRU."""
