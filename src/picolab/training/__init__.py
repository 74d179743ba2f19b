"""Training: recipes, the loop, optimisers, checkpoints."""

import os

# A resumed run must give the same weights as an uninterrupted one. On some processors MKL rounds by
# how its arguments lie in memory unless it is told not to before its first call; it costs no time.
os.environ.setdefault("MKL_CBWR", "AUTO")
