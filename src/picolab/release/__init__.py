"""From weights to what picocodec runs."""
