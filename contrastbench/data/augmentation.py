"""Random views of images, a batch at a time, with the distribution of torchvision's transforms, many times faster.

Crop, resize and flip are one linear map per axis, so a batch needs two batched matrix products (exactly what Pillow's
bilinear resize computes, antialiasing included, before it rounds to 8 bits). Brightness, contrast and saturation
are all ``a x + b grey(x) + c mean(grey(x))``, so that one pass serves a batch in which every image has its own order.

N images, C channels (1 or 3), H x W pixels, S the side of a view.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 128  # images worked on at a time on a CPU, so that a chunk stays in the cache
CROP_ATTEMPTS = 10  # as torchvision's RandomResizedCrop, which then falls back to a central crop
GREY = (0.2989, 0.587, 0.114)  # ITU-R 601, as torchvision


@dataclass(frozen=True)
class Recipe:
    """The distribution of one view; each part is torchvision's transform of that name, in this order."""

    size: int  # pixels, side of a view
    rotation_degrees: float = 0.0  # RandomAffine(degrees, shear=..., bilinear), zeros outside the image
    shear_degrees: float = 0.0
    scale: tuple[float, float] = (0.08, 1.0)  # RandomResizedCrop: area of the crop / area of the image
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5  # RandomHorizontalFlip: probability
    jitter: tuple[float, float, float, float] = (
        0.4,
        0.4,
        0.4,
        0.1,
    )  # ColorJitter: brightness, contrast, saturation, hue
    jitter_probability: float = 0.8
    grey_probability: float = 0.2  # RandomGrayscale
    blur_probability: float = 0.5  # GaussianBlur with 3 taps; RandomApply
    blur_sigma: tuple[float, float] = (0.1, 2.0)  # pixels


def natural_recipe(size: int = 32) -> Recipe:
    """What DCL, HCL and BCL use (joshr17/HCL image/utils.py at 7b4647f): 3 taps are int(0.1 * 32)."""
    return Recipe(size)


def digits_recipe(size: int = 28) -> Recipe:
    """For single-channel digits: no flip (a mirrored digit is another sign), no colour, small turns and slants."""
    return Recipe(
        size,
        rotation_degrees=15.0,
        shear_degrees=10.0,
        scale=(0.4, 1.0),
        flip=0.0,
        jitter=(0.4, 0.4, 0.0, 0.0),
        grey_probability=0.0,
    )


Draws = dict[str, Tensor]  # the random numbers of views, by name


def two_views(
    images: Tensor, recipe: Recipe, *, mean: Sequence[float], std: Sequence[float], rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Two independent normalised views of each image: float32 [N, C, S, S] each; row i of both is image i."""
    first, second = normalised_views(images, recipe, draw_views(2, images.shape, recipe, rng), mean=mean, std=std)
    return first, second


def normalise(views: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """``(x - mean) / std`` per channel; uint8 images are first scaled to [0, 1]."""
    values = views.float() / 255 if views.dtype == torch.uint8 else views
    factor = 1 / _constants(std, views.device)
    shift = -_constants(mean, views.device) * factor
    return torch.addcmul(shift[:, None, None], values, factor[:, None, None])


def _constants(values: Sequence[float], device: torch.device) -> Tensor:
    """The values as float32, written by the device itself: copying them from the CPU would be a wait."""
    return torch.cat([torch.full((1,), float(value), device=device) for value in values])


def augment(images: Tensor, recipe: Recipe, *, rng: torch.Generator) -> Tensor:
    """One random view of each image.

    Args:
        images: uint8 [N, C, H, W], C 1 or 3, on any device.
        recipe: the distribution to draw from.
        rng: a CPU generator; all randomness comes from it, whatever the images' device.

    Returns:
        float32 [N, C, S, S] in [0, 1], on the images' device.
    """
    draws = draw(images.shape, recipe, rng)
    return view(images, recipe, {name: value.to(images.device) for name, value in draws.items()})


def normalised_views(
    images: Tensor, recipe: Recipe, draws: Draws, *, mean: Sequence[float], std: Sequence[float]
) -> list[Tensor]:
    """The views of ``draw_views``, normalised: as many tensors [N, C, S, S] as were drawn.

    Args:
        images: uint8 [N, C, H, W].
        draws: of ``draw_views``, on the images' device.
    """
    return [normalise(view(images, recipe, drawn), mean, std) for drawn in draws_of_each_view(draws)]


def view(images: Tensor, recipe: Recipe, draws: Draws) -> Tensor:
    """The view of each image that ``draws`` stands for; asks the device for nothing, so that a GPU can capture it.

    Args:
        images: uint8 [N, C, H, W], C 1 or 3.
        draws: of ``draw``, on the images' device.

    Returns:
        float32 [N, C, S, S] in [0, 1].
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be uint8 [N, 1 or 3, H, W], got {images.dtype} {tuple(images.shape)}")
    if images.device.type != "cpu":
        return _view(images, recipe, draws)
    views = images.new_empty((*images.shape[:2], recipe.size, recipe.size), dtype=torch.float32)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        views[part] = _view(images[part], recipe, {name: value[part] for name, value in draws.items()})
    return views


def draw_views(count: int, shape: Sequence[int], recipe: Recipe, rng: torch.Generator) -> Draws:
    """``count`` independent draws, one after the other: [count, N] or [count, N, 4] each."""
    drawn = [draw(shape, recipe, rng) for _ in range(count)]
    return {name: torch.stack([one[name] for one in drawn]) for name in drawn[0]}


def draws_of_each_view(draws: Draws) -> list[Draws]:
    """What ``draw_views`` drew, a view at a time."""
    count = len(next(iter(draws.values())))
    return [{name: value[number] for name, value in draws.items()} for number in range(count)]


def draw(shape: Sequence[int], recipe: Recipe, rng: torch.Generator) -> Draws:
    """Every random number of one view of each image, on the CPU: [N] or [N, 4] each.

    Args:
        shape: of the images: N, C, H, W.
        recipe: the distribution to draw from.
        rng: a CPU generator.
    """
    n, _, height, width = shape
    top, left, crop_height, crop_width = _draw_crops(n, height, width, recipe, rng)
    uniform = torch.rand(n, 13, generator=rng)
    spread = torch.tensor(recipe.jitter)
    low = torch.cat([(1 - spread[:3]).clamp(min=0), -spread[3:]])
    high = torch.cat([1 + spread[:3], spread[3:]])
    return {
        "top": top,
        "left": left,
        "crop_height": crop_height,
        "crop_width": crop_width,
        "flip": uniform[:, 0] < recipe.flip,
        "jitter": uniform[:, 1] < recipe.jitter_probability,
        "grey": uniform[:, 2] < recipe.grey_probability,
        "blur": uniform[:, 3] < recipe.blur_probability,
        "sigma": recipe.blur_sigma[0] + (recipe.blur_sigma[1] - recipe.blur_sigma[0]) * uniform[:, 4],
        "order": uniform[:, 5:9].argsort(dim=1),  # order[i, s]: the operation in slot s; all 24 are equally likely
        "factors": low + (high - low) * uniform[:, 9:13],
        **_draw_affine(n, recipe, rng),
    }


def _draw_crops(n: int, height: int, width: int, recipe: Recipe, rng: torch.Generator) -> tuple[Tensor, ...]:
    """torchvision's RandomResizedCrop.get_params for n images: the first of ten tries that fits, else the centre."""
    uniform = torch.rand(n, CROP_ATTEMPTS, 4, generator=rng, dtype=torch.float64)
    area = height * width * (recipe.scale[0] + (recipe.scale[1] - recipe.scale[0]) * uniform[..., 0])
    low, high = math.log(recipe.ratio[0]), math.log(recipe.ratio[1])
    ratio = torch.exp(low + (high - low) * uniform[..., 1])
    crop_width, crop_height = torch.round(torch.sqrt(area * ratio)), torch.round(torch.sqrt(area / ratio))
    fits = (crop_width > 0) & (crop_width <= width) & (crop_height > 0) & (crop_height <= height)
    first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)
    crop_width, crop_height = (size.gather(1, first).squeeze(1) for size in (crop_width, crop_height))
    top_share, left_share = (uniform[..., k].gather(1, first).squeeze(1) for k in (2, 3))
    top, left = torch.floor(top_share * (height - crop_height + 1)), torch.floor(left_share * (width - crop_width + 1))
    centre = _central_crop(height, width, recipe.ratio)
    none = ~fits.any(dim=1)
    drawn = (top, left, crop_height, crop_width)
    return tuple(torch.where(none, fallback, value).float() for value, fallback in zip(drawn, centre, strict=True))


def _central_crop(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int, int, int]:
    """top, left, height, width of the largest central crop whose aspect ratio is allowed."""
    crop_height, crop_width = height, width
    if width / height < ratio[0]:
        crop_height = round(width / ratio[0])
    elif width / height > ratio[1]:
        crop_width = round(height * ratio[1])
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def _draw_affine(n: int, recipe: Recipe, rng: torch.Generator) -> Draws:
    if not (recipe.rotation_degrees or recipe.shear_degrees):
        return {}
    uniform = 2 * torch.rand(n, 2, generator=rng) - 1
    limits = torch.tensor([recipe.rotation_degrees, recipe.shear_degrees])
    rotation, shear = torch.deg2rad(uniform * limits).unbind(1)
    return {"rotation": rotation, "shear": shear}


def _view(images: Tensor, recipe: Recipe, draws: Draws) -> Tensor:
    view = images.float().div_(255)
    if "rotation" in draws:
        view = _turn(view, draws["rotation"], draws["shear"])
    view = _crop(view, recipe.size, draws)
    if recipe.jitter_probability and any(recipe.jitter):
        view = _jitter(view, draws)
    if recipe.grey_probability and view.shape[1] == 3:
        view = torch.where(draws["grey"][:, None, None, None], _grey(view), view)
    return _blur(view, draws) if recipe.blur_probability else view


def _turn(images: Tensor, rotation: Tensor, shear: Tensor) -> Tensor:
    """Rotation and horizontal shear about the centre, bilinear, zeros outside; as torchvision's affine on tensors."""
    n, _, height, width = images.shape
    # The inverse of the rotation by r after the slant by s, as torchvision defines them, in units of half the image.
    cosine, sine, slant = rotation.cos(), rotation.sin(), shear.tan()
    zero = torch.zeros_like(cosine)
    rows = [
        [cosine - sine * slant, (cosine * slant + sine) * height / width, zero],
        [-sine * width / height, cosine, zero],
    ]
    matrix = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = torch.nn.functional.affine_grid(matrix, [n, 1, height, width], align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _crop(images: Tensor, size: int, draws: Draws) -> Tensor:
    """Crop, bilinear resize to size x size with antialiasing, and flip: [N, C, S, S]."""
    n, channels, height, width = images.shape
    across = _resize_matrix(draws["left"], draws["crop_width"], width, size, draws["flip"])
    down = _resize_matrix(draws["top"], draws["crop_height"], height, size)
    rows = torch.bmm(images.reshape(n, channels * height, width), across.transpose(1, 2))
    columns = rows.view(n, channels, height, size).transpose(1, 2).reshape(n, height, channels * size)
    return torch.bmm(down, columns).view(n, size, channels, size).transpose(1, 2).contiguous()


def _resize_matrix(start: Tensor, length: Tensor, pixels: int, size: int, flip: Tensor | None = None) -> Tensor:
    """[N, S, pixels]: the weight of each input pixel in each output pixel, as Pillow's bilinear filter has them.

    The filter is a triangle of half-width max(1, length / size) around the output pixel's centre, cut off at the
    crop's borders and normalised.
    """
    step = length / size
    output = torch.arange(size, device=start.device) + 0.5
    if flip is not None:
        output = torch.where(flip[:, None], size - output, output)
    centre = start[:, None] + output * step[:, None]  # [N, S] in input pixels
    position = torch.arange(pixels, device=start.device) + 0.5
    weight = (position - centre[..., None]).abs_().div_(step.clamp(min=1)[:, None, None]).neg_().add_(1).clamp_(min=0)
    inside = (position > start[:, None]) & (position < (start + length)[:, None])
    weight.mul_(inside[:, None, :])
    return weight.div_(weight.sum(dim=2, keepdim=True))


def _grey(images: Tensor) -> Tensor:
    """Luminance [N, 1, H, W]; a single channel is its own."""
    if images.shape[1] == 1:
        return images
    return images[:, :1] * GREY[0] + images[:, 1:2] * GREY[1] + images[:, 2:] * GREY[2]


def _jitter(images: Tensor, draws: Draws) -> Tensor:
    """ColorJitter: four operations in each image's own order; 0 brightness, 1 contrast, 2 saturation, 3 hue."""
    order, factors = draws["order"], draws["factors"]
    active = draws["jitter"][:, None]
    own_factor = torch.where(active, factors.gather(1, order), torch.where(order == 3, 0.0, 1.0))
    coloured = images.shape[1] == 3
    for slot in range(4):
        operation, factor = order[:, slot], own_factor[:, slot]
        images = _blend(images, operation, factor)
        if coloured:
            images = _hue_where(images, (operation == 3) & draws["jitter"], factor)
    return images


def _hue_where(images: Tensor, turns: Tensor, shift: Tensor) -> Tensor:
    """Turns the hue of some of the images. A GPU works on all and chooses then: to know which they are is a wait."""
    if images.device.type != "cpu":
        return torch.where(turns[:, None, None, None], _hue_shifted(images, shift), images)
    chosen = turns.nonzero().squeeze(1)
    images[chosen] = _hue_shifted(images[chosen], shift[chosen])
    return images


def _blend(images: Tensor, operation: Tensor, factor: Tensor) -> Tensor:
    """clamp(a x + b grey(x) + c mean(grey(x))); images whose operation is hue come out as they were."""
    keep = torch.where(operation == 3, 1.0, factor)
    rest = 1 - keep
    grey = _grey(images)
    level = grey.mean(dim=(1, 2, 3)) * (rest * (operation == 1))
    toward = torch.addcmul(level[:, None, None, None], grey, (rest * (operation == 2))[:, None, None, None])
    return torch.addcmul(toward, images, keep[:, None, None, None]).clamp_(0, 1)


def _hue_shifted(images: Tensor, shift: Tensor) -> Tensor:
    """Turns the hue by ``shift`` (in turns) and keeps HSV's saturation and value."""
    red, green, blue = images.unbind(1)
    value = images.amax(dim=1)
    chroma = value - images.amin(dim=1)
    scale = chroma.clamp(min=1e-12).reciprocal_()
    sixth = torch.where(
        value == red,
        (green - blue) * scale,
        torch.where(value == green, (blue - red) * scale + 2, (red - green) * scale + 4),
    )
    sixth += 6 * shift[:, None, None] + 6  # now in [4.4, 11.6] for shifts of at most 0.1; remainder does the rest
    turned = []
    for offset in (5, 3, 1):  # channel = V - C clamp(min(k, 4 - k), 0, 1), k = offset + 6 h mod 6
        k = torch.remainder(sixth + offset, 6)
        turned.append(value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1))
    return torch.stack(turned, dim=1)


def _blur(images: Tensor, draws: Draws) -> Tensor:
    """Gaussian blur with 3 taps and reflected borders (the border pixel itself is not repeated)."""
    side = torch.exp(-0.5 / draws["sigma"] ** 2)
    side = torch.where(draws["blur"], side / (1 + 2 * side), 0.0)[:, None, None, None]
    centre = 1 - 2 * side
    for axis in (2, 3):
        length = images.shape[axis]
        inner = images.narrow(axis, 0, length - 2) + images.narrow(axis, 2, length - 2)
        first, last = images.narrow(axis, 1, 1) * 2, images.narrow(axis, length - 2, 1) * 2
        images = torch.addcmul(images * centre, torch.cat([first, inner, last], dim=axis), side)
    return images
