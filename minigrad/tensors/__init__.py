"""The tensor: its class, its methods, and the functions that make and take tensors."""
