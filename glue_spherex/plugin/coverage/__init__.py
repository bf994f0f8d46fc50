"""The sky coverage panel without its window: views of the sky, and what is shown on them."""
