"""The shipped demo model: its corpus, tokenizer, training loop and measurement.

Every module is seeded and free of hidden state, so that one run of `export/train_demo.py`
with one seed on one thread writes the same checkpoint again.
"""
