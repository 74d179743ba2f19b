"""What the encoder's choices are fitted to: made by `picolab judge`, never typed."""

# Bits for squared errors of values 0 to 1, and for detail, of a pixel: at level 0, and how many
# times that at level 1000, in between by a power of it.
ERRORS = (9.439, 677.3)
DETAIL = (0.4102, 55.06)

# libavif's quality: at level 0, and what comes on top by the level, 0 to 1, and by its square.
AV1_QUALITY = (11.82, 106, -30.3)

# The logarithm to base 2 of AV1's cost in parts of the networks': a constant, by plainness, by the
# logarithm to base 2 of the networks' bits a pixel, and by the level, 0 to 1.
FORESEEN = (0.01662, 0.02279, -0.1839, -0.3874)
