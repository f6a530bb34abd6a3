"""The stages: one function for each study, found here by the runner."""

from benchmarks.loss_studies.digits import images
from benchmarks.loss_studies.estimators import estimators
from benchmarks.loss_studies.information import information
from benchmarks.loss_studies.limit import limit
from benchmarks.loss_studies.noise import noise_gradient, noise_training
from benchmarks.loss_studies.triplets import drlim_map, mining

__all__ = ["drlim_map", "estimators", "images", "information", "limit", "mining", "noise_gradient", "noise_training"]
