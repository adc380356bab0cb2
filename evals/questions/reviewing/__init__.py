"""Questions reviewed by people: decisions on disk one by one, and the editing of a question."""
