"""What votes tell of qualities, in full: the model of `belief`, sampled by NumPyro's NUTS.

NumPyro, because its No-U-Turn sampler is compiled by XLA from a wheel: no C++ compiler where a
study is rated, as PyMC and Stan want, and the chains run in one call. It is maintained by the
makers of Pyro, and its diagnostics (split R-hat, effective sample size, divergences) are the usual.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit

from picolab.study.belief import (
    ELO,
    LAPSE_MEAN,
    LAPSE_SPREAD,
    MEAN_ELO,
    NU_MEAN,
    NU_SPREAD,
    THETA_SPREAD,
    VARIANCE_SCALE,
    VARIANCE_SHAPE,
    fit,
)
from picolab.study.votes import Floats, Stimuli, Votes

MOST_RHAT = 1.01
LEAST_EFFECTIVE = 400
MOST_DENSE = 400
"""Up to so many parameters their covariances are learned in warm-up, beyond only variances."""


@dataclass(frozen=True)
class Sample:
    """Draws of the posterior: `quality` float64 `[S, K]` and `theta` `[S, C]` in logits.

    `reliability` `[R]` is the mean of each rater's s, `spreads` the means of tau, sigma_s and
    sigma_w by name, `rhat` the worst split R-hat and `effective` the least effective sample size
    of any quality or theta, `divergences` how many steps diverged.
    """

    stimuli: Stimuli
    quality: Floats
    theta: Floats
    reliability: Floats
    spreads: dict[str, float]
    rhat: float
    effective: float
    divergences: int

    @property
    def warnings(self) -> list[str]:
        """Why the chains should not be trusted; empty where they should."""
        found = []
        if not self.rhat <= MOST_RHAT:
            found.append(f"R-hat is {self.rhat:.3f}, over {MOST_RHAT}: draw more")
        if not self.effective >= LEAST_EFFECTIVE:
            found.append(
                f"the effective sample size is {self.effective:.0f}, under {LEAST_EFFECTIVE}: "
                "draw more"
            )
        if self.divergences:
            found.append(f"{self.divergences} steps diverged")
        return found

    def elo(self, alike: bool = False) -> Floats:
        """`[S, C]`, mean over conditions 1500: of the study's pictures, or of all like these."""
        values = self.theta if alike else self.quality @ self.stimuli.mean_matrix().T
        return MEAN_ELO + ELO * (values - values.mean(1, keepdims=True))


def sample(
    votes: Votes, draws: int = 1000, warmup: int = 500, chains: int = 4, seed: int = 0
) -> Sample:
    """Sample the posterior: `chains` chains of `draws` draws each, after `warmup`.

    Raises `ValueError` where NumPyro is not installed.
    """
    try:
        import jax
        from numpyro.distributions.transforms import ZeroSumTransform
        from numpyro.infer import MCMC, NUTS
        from numpyro.infer.util import potential_energy
    except ImportError as error:
        raise ValueError(
            f"{error}: full sampling needs pip install './lab[study]'; --method laplace does "
            "without"
        ) from error
    jax.config.update("jax_enable_x64", True)
    # The potential, and not the model itself, for the sampler: it is compiled once as a whole,
    # where looking for a start in the model would compile hundreds of small operations one by one.
    potential = jax.jit(partial(potential_energy, _model, (votes,), {}))
    sampler = MCMC(
        NUTS(
            potential_fn=potential,
            target_accept_prob=0.9,
            # Lapses and the distances of all qualities go together, a ridge across most parameters.
            dense_mass=_dimension(votes) <= MOST_DENSE,
        ),
        num_warmup=warmup,
        num_samples=draws,
        num_chains=chains,
        chain_method="sequential",
        progress_bar=False,
    )
    start = _start(votes)
    start["theta"] = np.asarray(ZeroSumTransform(1).inv(start["theta"]))
    begins = {name: np.stack([np.asarray(value)] * chains) for name, value in start.items()}
    if chains == 1:
        begins = {name: value[0] for name, value in begins.items()}
    sampler.run(jax.random.PRNGKey(seed), init_params=begins, extra_fields=("diverging",))
    by_chain = {name: np.asarray(v) for name, v in sampler.get_samples(True).items()}
    by_chain["theta"] = np.asarray(ZeroSumTransform(1)(by_chain["theta"]))
    diverged = int(np.asarray(sampler.get_extra_fields()["diverging"]).sum())
    return _collect(votes, by_chain, diverged)


def _collect(votes: Votes, by_chain: dict[str, Floats], diverged: int) -> Sample:
    """Of unconstrained draws `[chains, draws, ...]`, theta with its sum of nil."""
    rhat, effective = _diagnose(by_chain["quality"], by_chain["theta"])
    flat = {name: v.reshape(-1, *v.shape[2:]) for name, v in by_chain.items()}
    unit = flat["alpha_unit"] - flat["alpha_unit"].mean(1, keepdims=True)
    deviations = {
        name: np.exp(flat[name + "_squared"] / 2) for name in ("tau", "sigma_s", "sigma_w")
    }
    spreads = {name: float(values.mean()) for name, values in deviations.items()}
    spreads["lapse"] = float(expit(flat["lapse_odds"]).mean())
    return Sample(
        stimuli=votes.stimuli,
        quality=flat["quality"].astype(np.float64),
        theta=flat["theta"].astype(np.float64),
        reliability=np.exp(deviations["sigma_s"][:, None] * unit).mean(0),
        spreads=spreads,
        rhat=rhat,
        effective=effective,
        divergences=diverged,
    )


def _dimension(votes: Votes) -> int:
    stimuli = votes.stimuli
    return len(stimuli.picture) + len(stimuli.conditions) + 2 * len(votes.raters) + 4


def _start(votes: Votes) -> dict[str, Floats | float]:
    """Where chains begin, variances as their logarithms: the quick approximation, so that little
    warm-up is spent on the way."""
    belief = fit(votes)
    shift = belief.theta.mean()
    spread = belief.spread
    sigma_s, sigma_w = spread.reliability**0.5, spread.width**0.5
    return {
        "tau_squared": np.log(spread.picture),
        "sigma_s_squared": np.log(spread.reliability),
        "sigma_w_squared": np.log(spread.width),
        "log_nu": float(np.log(belief.nu)),
        "lapse_odds": float(np.log(belief.lapse / (1 - belief.lapse))),
        "theta": belief.theta - shift,
        "quality": belief.quality - shift,
        "alpha_unit": np.log(belief.reliability) / sigma_s,
        "omega_unit": np.log(belief.width / belief.nu) / sigma_w,
    }


def _model(votes: Votes) -> None:
    import jax.numpy as jnp
    import numpyro
    from jax.nn import sigmoid
    from numpyro import distributions as law

    stimuli = votes.stimuli
    variance = law.InverseGamma(VARIANCE_SHAPE, VARIANCE_SCALE)
    spreads = {}
    for name in ("tau", "sigma_s", "sigma_w"):
        spreads[name] = jnp.sqrt(numpyro.sample(name + "_squared", variance))
    nu = numpyro.sample("log_nu", law.Normal(NU_MEAN, NU_SPREAD))
    odds = numpyro.sample("lapse_odds", law.Normal(LAPSE_MEAN, LAPSE_SPREAD))
    lapse = sigmoid(odds)
    conditions, raters = len(stimuli.conditions), len(votes.raters)
    # Only differences matter, so the sum is nil; otherwise chains would drift along it.
    theta = numpyro.sample("theta", law.ZeroSumNormal(THETA_SPREAD, (conditions,)))
    # Raters' effects in units of their spread: few votes each, which would make a funnel.
    unit = numpyro.sample("alpha_unit", law.Normal(0, 1).expand([raters]))
    alpha = spreads["sigma_s"] * (unit - unit.mean())
    omega_unit = numpyro.sample("omega_unit", law.Normal(0, 1).expand([raters]))
    omega = nu + spreads["sigma_w"] * omega_unit
    quality = numpyro.sample("quality", law.Normal(theta[stimuli.condition], spreads["tau"]))
    x = jnp.exp(alpha)[votes.rater] * (quality[votes.left] - quality[votes.right])
    width = jnp.exp(omega)[votes.rater]
    left = (1 - lapse) * sigmoid(x - width) + lapse / 3
    right = (1 - lapse) * sigmoid(-x - width) + lapse / 3
    chances = jnp.stack([left, 1 - left - right, right], -1)
    numpyro.sample("answer", law.CategoricalProbs(chances), obs=votes.answer)


def _diagnose(*parameters: Floats) -> tuple[float, float]:
    """The worst split R-hat and the least effective sample size of `[chains, draws, n]` arrays."""
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    rhat = max(float(np.max(split_gelman_rubin(part))) for part in parameters)
    effective = min(float(np.min(effective_sample_size(part))) for part in parameters)
    return rhat, effective
