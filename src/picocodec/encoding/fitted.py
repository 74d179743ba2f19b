"""What the encoder's choices are fitted to: made by `picolab judge`, never typed."""

# Bits for squared errors of values 0 to 1, and for detail, of a pixel: at level 0, and how many
# times that at level 1000, in between by a power of it.
ERRORS = (6.288, 440)
DETAIL = (0.3412, 13.07)

# libavif's quality: at level 0, and what comes on top by the level, 0 to 1, and by its square.
AV1_QUALITY = (13.08, 81.04, -16.96)

# Bits of a pixel of photos by the networks: at level 0, and how many times that at level 1000.
BITS = (0.13, 14.88)
