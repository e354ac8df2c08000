"""Tables: from a file or a DataFrame to a model that predicts."""
