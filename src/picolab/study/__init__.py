"""Human studies: pairs of decoded pictures, shown to people, to Elo ratings and BD-rates.

planning -> service, server (browser) -> votes -> belief (fast), sampling (full) -> ratings, report.
`choosing` picks the pairs, `simulation` stands in for the people.
"""
