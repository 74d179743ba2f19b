"""What the encoder's choices are fitted to: made by `picolab judge`, never typed."""

# Bits for squared errors of values 0 to 1, and for detail, of a pixel: at level 0, and how many
# times that at level 1000, in between by a power of it.
ERRORS = (6.403, 553.7)
DETAIL = (0.1869, 63.61)

# libavif's quality: at level 0, and what comes on top by the level, 0 to 1, and by its square.
AV1_QUALITY = (8.851, 102.5, -30.88)

# Bits of a pixel of photos by the networks: at level 0, and how many times that at level 1000.
BITS = (0.05894, 24.92)

# What careful lossless coding takes of the bytes of a quick try, at least.
LEAST_OF_QUICK = 0.6

# Bits that the networks spend on each pixel which is not as the one to its left, from which on
# exact pixels may cost less, where no screen repeats itself.
FOR_A_CHANGE = 0.5

# How many times the best way so far quick AV1 may cost, if careful AV1 is to be tried after it.
QUICK_MAY_COST = 1.25
