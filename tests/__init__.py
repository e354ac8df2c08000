"""minigrad's tests, a package lest an installed one of that name comes first."""
