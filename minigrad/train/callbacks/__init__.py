"""What a `Trainer` calls between its steps, one file a callback."""
