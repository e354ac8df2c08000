"""All threads of a launch at once, as lanes of NumPy arrays, where nothing stands against it."""
