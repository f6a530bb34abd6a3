"""How a network sees a task's images: the papers' weak views of a batch, and images as they are.

Shifts by some pixels and mirror images; crops for ImageNet. All draws are made on the CPU and come into the step as
inputs; ``view`` asks the device for nothing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.novel_class_discovery import config as settings
from benchmarks.novel_class_discovery.model import Network
from benchmarks.novel_class_discovery.task import InMemory, Pictures, Task, chunks
from contrastbench.data.augmentation import Recipe, draw_views, normalise
from contrastbench.data.augmentation import view as recipe_view
from contrastbench.training import products_in

Draws = dict[str, Tensor]
SOURCES = ("index", "pictures")  # the inputs of a step that say which images


@dataclass(frozen=True)
class Shifts:
    """A shift of at most ``pixels`` along both axes, and a mirror image with probability ``flip``."""

    pixels: int
    flip: float
    reflect: bool  # what lies outside of the image: its reflection (the border pixel not repeated), or zeros

    def draw(self, count: int, shape: tuple[int, ...], rng: torch.Generator) -> Draws:
        """Draws of ``count`` views of each image of a batch of this shape, [count, N] each."""
        size = (count, shape[0])
        down, right = torch.randint(-self.pixels, self.pixels + 1, (2, *size), generator=rng).unbind()
        return {"down": down, "right": right, "flip": torch.rand(size, generator=rng) < self.flip}

    def view(self, images: Tensor, draws: Draws) -> Tensor:
        """uint8 [N, C, H, W] -> float32 of the same shape in [0, 1]; ``draws`` of one view, [N] each."""
        height, width = images.shape[2:]
        rows, row_inside = self._places(draws["down"], height)
        columns, column_inside = self._places(draws["right"], width)
        columns = torch.where(draws["flip"][:, None], columns.flip(1), columns)
        column_inside = torch.where(draws["flip"][:, None], column_inside.flip(1), column_inside)
        n, channels = (torch.arange(size, device=images.device) for size in images.shape[:2])
        pixels = images[n[:, None, None, None], channels[:, None, None], rows[:, None, :, None], columns[:, None, None]]
        inside = row_inside[:, None, :, None] & column_inside[:, None, None]
        return pixels.float() * (inside / 255)

    def _places(self, shift: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """[N, length]: which pixel stands where, and whether the image has it."""
        places = torch.arange(length, device=shift.device) + shift[:, None]
        if self.reflect:
            places = (length - 1) - ((length - 1) - places.abs()).abs()
            return places, torch.ones_like(places, dtype=torch.bool)
        return places.clamp(0, length - 1), (places >= 0) & (places < length)


@dataclass(frozen=True)
class Crops:
    """A random crop of ``scale`` of the area, brought to ``size`` pixels, and a mirror image half of the time."""

    size: int
    scale: tuple[float, float]

    def _recipe(self) -> Recipe:
        plain = {"jitter_probability": 0.0, "grey_probability": 0.0, "blur_probability": 0.0}
        return Recipe(self.size, scale=self.scale, **plain)

    def draw(self, count: int, shape: tuple[int, ...], rng: torch.Generator) -> Draws:
        return draw_views(count, shape, self._recipe(), rng)

    def view(self, images: Tensor, draws: Draws) -> Tensor:
        return recipe_view(images, self._recipe(), draws)


@dataclass(frozen=True)
class Dropout:
    """Each feature is left out with this probability, and the others made greater in proportion (as in SimCSE)."""

    probability: float

    def draw(self, count: int, shape: tuple[int, ...], rng: torch.Generator) -> Draws:
        return {"kept": torch.rand(count, *shape, generator=rng) >= self.probability}

    def view(self, features: Tensor, draws: Draws) -> Tensor:
        return features * draws["kept"] / (1 - self.probability)


VIEWS: dict[str, Shifts | Crops | Dropout] = {
    "crop": Shifts(4, 0.5, reflect=False),  # RandomCrop(32, padding=4) and a flip
    "reflect": Shifts(4, 0.5, reflect=True),  # AutoNovel's RandomTranslateWithReflect(4) and a flip
    "digits": Shifts(2, 0.0, reflect=False),  # a mirrored digit is another sign
    "imagenet": Crops(224, (0.5, 1.0)),
    "dropout": Dropout(0.1),
}


def rotate(images: Tensor) -> Tensor:
    """[N, C, S, S] -> [4N, C, S, S]: all images as they are, then all turned by a quarter, a half, three quarters."""
    return torch.cat([torch.rot90(images, turns, (2, 3)) for turns in range(4)])


class Seen:
    """How a run's network sees the images of a task."""

    def __init__(self, config: settings.Task, task: Task) -> None:
        self.task, self.views, self.precision = task, VIEWS[config.views], config.precision

    def inputs(self, index: Tensor, views: int, rng: torch.Generator) -> dict[str, Tensor]:
        """A step's inputs: which images, and the draws of so many views of each."""
        source = self.task.train
        return {**source.inputs(index), **self.views.draw(views, (len(index), *source.shape), rng)}

    def view(self, given: dict[str, Tensor], number: int = 0) -> Tensor:
        """One normalised view of the images that a step was given."""
        pixels = self.task.train.pixels(**{name: given[name] for name in SOURCES if name in given})
        draws = {name: value[number] for name, value in given.items() if name not in SOURCES}
        return self.normalise(self.views.view(pixels, draws))

    def features(self, model: Network, images: Tensor) -> Tensor:
        """float32 [N, width] of normalised images."""
        with products_in(self.precision, images):
            return model.features(images).float()

    @torch.no_grad()
    def all(self, model: Network, source: InMemory | Pictures, first: int = 0) -> Tensor:
        """[N, width] of the images from ``first`` on as they are, with the network in evaluation mode."""
        model.eval()
        return torch.cat([self.features(model, self.plain(pixels)) for pixels in chunks(source, first)])

    def plain(self, pixels: Tensor) -> Tensor:
        """Normalised pixels without a draw; ImageNet's are cut to the middle."""
        if isinstance(self.views, Crops):
            margin = (pixels.shape[-1] - self.views.size) // 2
            pixels = pixels[..., margin : margin + self.views.size, margin : margin + self.views.size]
        return self.normalise(pixels)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Features of another network stay as they are."""
        return normalise(pixels, self.task.mean, self.task.std) if self.task.mean else pixels
