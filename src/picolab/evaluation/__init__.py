"""How many bytes each codec needs for the same look, and how long it takes.

`images` finds pictures, `peers` encodes them, `metrics` measures them, `runner` does all of it,
`results` reads a run back, `bjontegaard` compares, `plots`, `report` and `page` show.
"""
