"""What the encoder's choices are fitted to: made by `picolab judge`, never typed."""

# Bits for squared errors of values 0 to 1, and for detail, of a pixel: at level 0, and how many
# times that at level 1000, in between by a power of it.
ERRORS = (6.236, 397.3)
DETAIL = (0.2267, 27.58)

# libavif's quality: at level 0, and what comes on top by the level, 0 to 1, and by its square.
AV1_QUALITY = (8.075, 90.05, -21.1)

# The logarithm to base 2 of AV1's cost in parts of the networks': a constant, by plainness, by the
# logarithm to base 2 of the networks' bits a pixel, and by the level, 0 to 1.
FORESEEN = (1.206, 0.1851, 0.06121, -1.273)
