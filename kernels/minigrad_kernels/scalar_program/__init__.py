"""A recorded scalar expression, replayed forwards and backwards."""
