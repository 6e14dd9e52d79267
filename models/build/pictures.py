"""Reads pictures the way the classifier does, and varies them for training."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

SIZE = 224
MEAN, STD = 127.0, 128.0


def load(path):
    """The picture as upright RGB; what is transparent is white."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")


def tensor(image):
    """What the model sees: stretched, not cropped, through an antialiased triangle filter on 8 bits."""
    pixels = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32)
    return np.ascontiguousarray(((pixels - MEAN) / STD).transpose(2, 0, 1))


def vary(image, rng, scene=None):
    """One random variation of a training picture, pasted on `scene` where one is given.

    Studio photos are nearly all on white, which makes white a shortcut to the five classes; cut out and put
    before something else, an article has to be known by itself.
    """
    if scene is not None:
        image = _paste(image, scene, rng)
    image = _crop(image, rng, 0.7)
    if rng.random() < 0.5:
        image = ImageOps.mirror(image)
    if rng.random() < 0.3:
        image = image.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR, fillcolor=image.getpixel((0, 0)))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(0.65, 1.35))
    if rng.random() < 0.3:  # the yellow or blue light of a room
        warmth = rng.uniform(0.8, 1.2)
        image = Image.fromarray(
            np.clip(np.asarray(image, np.float32) * (warmth, 1, 1 / warmth), 0, 255).astype(np.uint8)
        )
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(35, 95)))
    return Image.open(buffer).convert("RGB")


def _crop(image, rng, least):
    width, height = (int(side * rng.uniform(least, 1)) for side in image.size)
    x, y = (int(rng.integers(0, whole - part + 1)) for whole, part in zip(image.size, (width, height)))
    return image.crop((x, y, x + width, y + height)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def _cutout(image):
    """255 where the article is: what near-white touches the edge is background. None if that is not clear."""
    white = (np.asarray(image).min(2) > 232).astype(np.uint8)
    mask = Image.fromarray(np.pad(white, 1, constant_values=1))
    ImageDraw.floodfill(mask, (0, 0), 2)
    article = np.asarray(mask)[1:-1, 1:-1] != 2
    if not 0.08 < article.mean() < 0.9:
        return None
    return Image.fromarray((article * 255).astype(np.uint8)).filter(ImageFilter.MinFilter(3))


def _paste(image, scene, rng):
    image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    mask = _cutout(image)
    if mask is None:
        return image
    scene = _crop(scene, rng, 0.4)
    width, height = (int(SIZE * rng.uniform(0.6, 1)) for _ in range(2))
    angle = rng.uniform(-20, 20)
    turn = lambda layer: layer.resize((width, height), Image.Resampling.BILINEAR).rotate(
        angle, Image.Resampling.BILINEAR
    )
    at = tuple(int(rng.integers(0, SIZE - side + 1)) for side in (width, height))
    scene.paste(turn(image), at, turn(mask).filter(ImageFilter.GaussianBlur(0.8)))
    return scene
