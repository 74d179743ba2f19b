"""What the encoder's choices are fitted to: made by `picolab judge`, never typed."""

# Bits for squared errors of values 0 to 1, and for detail, of a pixel: at level 0, and how many
# times that at level 1000, in between by a power of it.
ERRORS = (4.455, 671)
DETAIL = (0.3757, 18.65)

# libavif's quality: at level 0, and what comes on top by the level, 0 to 1, and by its square.
AV1_QUALITY = (3.324, 113.9, -38.01)

# Bits of a pixel of photos by the networks: at level 0, and how many times that at level 1000.
BITS = (0.05347, 25.72)

# How many times the best way so far quick AV1 may cost, if careful AV1 is to be tried after it.
QUICK_MAY_COST = 1.2
