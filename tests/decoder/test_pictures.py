"""decoder/pictures.py: pictures from cameras, tools and enemies, made smaller, in this process."""

from __future__ import annotations

import io
import itertools
import random
import re
import statistics
import struct
from contextlib import suppress
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageDraw, features

from flask_gridfs_pymongo.decoder.errors import Undecodable
from flask_gridfs_pymongo.decoder.pictures import Picture, load, make
from flask_gridfs_pymongo.images import JPEG, LIMITS, PNG, WEBP, Variant

from ..helpers.pictures import BLUE, GREEN, RED, WHITE, corners, encoded, png

BOX = Variant(64, 64)
load()


def opened(picture: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(picture.data))
    assert Image.MIME[str(image.format)] == picture.content_type
    return image


def near(found: Any, wanted: Any, by: int = 12) -> bool:
    return all(abs(one - other) <= by for one, other in zip(found, wanted, strict=True))


def quarters(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours of the middles of the quarters, clockwise from the upper left."""
    plain, (width, height) = image.convert("RGB"), image.size
    places = ((1, 1), (3, 1), (3, 3), (1, 3))
    return [plain.getpixel((width * x // 4, height * y // 4)) for x, y in places]  # type: ignore[misc]


class TestSize:
    @pytest.mark.parametrize(
        ("source", "variant", "size"),
        [
            ((200, 100), Variant(64, 64), (64, 32)),
            ((100, 200), Variant(64, 64), (32, 64)),
            ((200, 100), Variant(400, 400), (200, 100)),
            ((200, 100), Variant(200, 50), (100, 50)),
            ((1, 1), Variant(64, 64), (1, 1)),
            ((3000, 1), Variant(64, 64), (64, 1)),
            ((1, 3000), Variant(64, 64), (1, 64)),
            ((200, 100), Variant(64, 64, crop=True), (64, 64)),
            ((100, 200), Variant(64, 32, crop=True), (64, 32)),
            ((40, 20), Variant(64, 64, crop=True), (20, 20)),
            ((200, 100), Variant(300, 100, crop=True), (200, 67)),
            ((3000, 1), Variant(64, 64, crop=True), (1, 1)),
            ((1333, 977), Variant(640, 640), (640, 469)),
        ],
    )
    @pytest.mark.parametrize("form", ["PNG", "JPEG"])
    def test_it_is_never_enlarged_or_distorted(
        self, source: tuple[int, int], variant: Variant, size: tuple[int, int], form: str
    ) -> None:
        assert opened(make(encoded(Image.new("RGB", source), form), variant, JPEG)).size == size

    def test_what_is_cut_off_is_the_same_on_both_sides(self) -> None:
        image = Image.new("RGB", (300, 100), RED)
        image.paste(GREEN, (110, 0, 190, 100))
        cut = opened(make(encoded(image), Variant(50, 50, crop=True), PNG)).convert("RGB")
        assert near(cut.getpixel((25, 25)), GREEN)
        assert near(cut.getpixel((0, 25)), RED)
        assert near(cut.getpixel((49, 25)), RED)

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ((0, 1), ValueError),
            ((1, 4097), ValueError),
            ((1.5, 1), TypeError),
            ((True, 1), TypeError),
            (("1", 1), TypeError),
        ],
    )
    def test_a_variant_is_a_number_of_pixels(self, arguments: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match=r"Variant: (width|height) must be"):
            Variant(*arguments)


def drawing(width: int, height: int) -> Image.Image:
    """Lines and surfaces in many colours, on noise: sharper than any photo."""
    chance, image = random.Random(1), Image.effect_noise((width, height), 40).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(300):
        x, y, size = chance.randrange(width), chance.randrange(height), chance.randrange(4, 40)
        colour = tuple(chance.randbytes(3))
        draw.line((x, y, x + size, y + chance.randrange(-size, size)), colour, chance.randrange(1, 5))
        draw.rectangle((y, x, y + size // 2, x + size // 3), colour)
    return image


def similarity(one: Image.Image, other: Image.Image) -> float:
    """The structural similarity of two pictures, from squares of 8 pixels."""
    found = []
    for x, y in itertools.product(range(0, one.width - 7, 8), range(0, one.height - 7, 8)):
        a, b = (list(image.convert("L").crop((x, y, x + 8, y + 8)).tobytes()) for image in (one, other))
        mean_a, mean_b = statistics.mean(a), statistics.mean(b)
        covariance = statistics.mean((p - mean_a) * (q - mean_b) for p, q in zip(a, b, strict=True))
        brightness = (2 * mean_a * mean_b + 6.5) / (mean_a**2 + mean_b**2 + 6.5)
        found.append(brightness * (2 * covariance + 58.5) / (statistics.pvariance(a) + statistics.pvariance(b) + 58.5))
    return statistics.mean(found)


@pytest.mark.parametrize(("width", "decoded"), [(1000, 250), (750, 375), (400, 400)])
def test_little_of_a_jpeg_is_decoded_and_it_stays_sharp(
    monkeypatch: pytest.MonkeyPatch, width: int, decoded: int
) -> None:
    source, widths = encoded(drawing(width, width * 3 // 4), "JPEG", quality=95), list[int]()
    resize = Image.Image.resize
    whole = Image.open(io.BytesIO(source)).resize((160, 120), Image.Resampling.LANCZOS)
    monkeypatch.setattr(
        Image.Image, "resize", lambda image, *args, **more: widths.append(image.width) or resize(image, *args, **more)
    )
    made = opened(make(source, Variant(160, 160), PNG))
    assert widths == [decoded]
    assert (made.size, similarity(made, whole) > 0.93) == ((160, 120), True), similarity(made, whole)


class TestOrientation:
    @pytest.mark.parametrize("variant", [BOX, Variant(64, 64, crop=True)])
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
    def test_every_one_is_turned_upright(self, orientation: int, form: str, variant: Variant) -> None:
        undo = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }
        upright = corners()
        stored = upright.transpose(undo[orientation]) if orientation in undo else upright
        exif = Image.Exif()
        exif[0x0112] = orientation
        made = opened(make(encoded(stored, form, exif=exif), variant, PNG))
        assert made.size == ((64, 64) if variant.crop else (64, 32))
        assert all(map(near, quarters(made), (RED, GREEN, BLUE, WHITE), [40] * 4))

    @pytest.mark.parametrize("value", [0, 9, 65535])
    def test_one_that_is_none_turns_nothing(self, value: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = value
        assert opened(make(encoded(corners(), "JPEG", exif=exif), BOX, PNG)).size == (64, 32)

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    @pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 99])
    def test_a_broken_one_turns_nothing(self, exif: bytes) -> None:
        assert opened(make(encoded(corners(), "JPEG", exif=exif), BOX, PNG)).size == (64, 32)


class TestWhatIsDropped:
    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("content_type", [JPEG, PNG, WEBP])
    def test_places_comments_and_profiles(self, form: str, content_type: str) -> None:
        exif = Image.Exif()
        exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
        exif[0x010F] = "SECRET"
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        options: dict[str, Any] = {"exif": exif, "icc_profile": profile, "xmp": b"<x>SECRET</x>", "comment": b"SECRET"}
        source = encoded(corners(), form, **options)
        assert b"SECRET" in source
        made = make(source, BOX, content_type)
        assert b"SECRET" not in made.data
        assert not opened(made).getexif()
        assert not {"exif", "icc_profile", "xmp", "comment"} & opened(made).info.keys()


class TestColours:
    MODES: tuple[tuple[str, str, Any, tuple[int, ...]], ...] = (
        ("1", "PNG", 1, (255, 255, 255)),
        ("L", "JPEG", 100, (100, 100, 100)),
        ("P", "GIF", None, RED),
        ("RGB", "BMP", RED, RED),
        ("CMYK", "JPEG", (0, 255, 255, 0), RED),
        ("CMYK", "TIFF", (0, 255, 255, 0), RED),
        ("I;16", "PNG", 128 << 8, (128, 128, 128)),
        ("I;16", "TIFF", 128 << 8, (128, 128, 128)),
        ("YCbCr", "JPEG", (76, 85, 255), RED),
        ("RGB", "WEBP", RED, RED),
        ("RGB", "TIFF", RED, RED),
    )

    @pytest.mark.parametrize(("mode", "form", "colour", "shown"), MODES)
    def test_every_mode_is_shown_as_it_is(self, mode: str, form: str, colour: Any, shown: tuple[int, ...]) -> None:
        source = Image.new("RGB", (100, 80), RED).quantize() if mode == "P" else Image.new(mode, (100, 80), colour)
        made = opened(make(encoded(source, form), BOX, None))
        assert near(made.convert("RGB").getpixel((30, 20)), shown)

    def test_avif_where_pillow_has_it(self) -> None:
        if not features.check("avif"):
            pytest.skip("this Pillow has no AVIF")
        assert near(quarters(opened(make(encoded(corners(), "AVIF"), BOX, PNG)))[0], RED, 40)

    def test_a_profile_is_turned_to_srgb(self) -> None:
        """In a profile with the green and the red changed over, what looks green is stored as red."""
        swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        tags = {
            bytes(swapped[at : at + 4]): at
            for at in range(132, 132 + 12 * struct.unpack(">I", swapped[128:132])[0], 12)
        }
        red, green = tags[b"rXYZ"], tags[b"gXYZ"]
        swapped[red + 4 : red + 8], swapped[green + 4 : green + 8] = (
            swapped[green + 4 : green + 8],
            swapped[red + 4 : red + 8],
        )
        source = Image.new("RGB", (100, 80), RED)
        made = opened(make(encoded(source, icc_profile=bytes(swapped)), BOX, PNG)).convert("RGB")
        assert near(made.getpixel((30, 20)), GREEN, 30)
        with_alpha = source.copy()
        with_alpha.putalpha(128)
        seen = opened(make(encoded(with_alpha, icc_profile=bytes(swapped)), BOX, None))
        assert near(seen.getpixel((30, 20)), (*GREEN, 128), 30)

    @pytest.mark.parametrize(
        "profile", [b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()]
    )
    def test_one_that_does_not_fit_changes_nothing(self, profile: bytes) -> None:
        source = encoded(Image.new("RGB", (100, 80), RED), "JPEG", icc_profile=profile)
        assert near(quarters(opened(make(source, BOX, PNG)))[0], RED)

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
    def test_transparency_is_kept_or_lies_on_white(self, mode: str) -> None:
        image = Image.new("RGBA", (100, 80), (0, 0, 0, 0))
        image.paste((0, 0, 0, 255), (0, 0, 50, 80))
        source = encoded(image.convert(mode) if mode != "P" else image.quantize())
        kept = make(source, BOX, None)
        assert kept.content_type == PNG
        for picture in (kept, make(source, BOX, WEBP)):
            assert opened(picture).convert("RGBA").getpixel((60, 20))[3] == 0  # type: ignore[index]
        flat = opened(make(source, BOX, JPEG)).convert("RGB")
        assert near(flat.getpixel((60, 20)), WHITE)
        assert near(flat.getpixel((5, 20)), (0, 0, 0))

    def test_a_picture_without_it_is_a_jpeg(self) -> None:
        assert make(encoded(Image.new("RGBA", (100, 80), (*RED, 255))), BOX, None).content_type == JPEG
        assert make(encoded(corners(), "GIF"), BOX, None).content_type == JPEG


class TestFrames:
    @pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
    def test_of_several_the_first_one(self, form: str) -> None:
        frames = [Image.new("RGB", (100, 80), colour) for colour in (RED, GREEN, BLUE)]
        source = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        made = opened(make(source, BOX, WEBP))
        assert getattr(made, "n_frames", 1) == 1
        assert near(quarters(made)[0], RED, 30)


_NOISE = Image.frombytes("RGB", (300, 200), random.Random(1).randbytes(180_000))


class TestEnemies:
    @pytest.mark.parametrize(
        "source",
        [
            png(100_000, 100_000, b""),
            png(16_000, 16_000, b""),
            png(7_000, 7_000, b""),
            b"GIF89a\xff\xff\xff\xff" + encoded(corners(), "GIF")[10:],
        ],
    )
    def test_pixels_are_counted_before_anything_is_decoded(self, source: bytes) -> None:
        with pytest.raises(Undecodable, match="pixels"):
            make(source, BOX, JPEG)

    def test_the_limits_are_what_can_be_had(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(LIMITS, "pixels", 60_000)
        assert make(encoded(_NOISE), BOX, JPEG)
        monkeypatch.setitem(LIMITS, "pixels", 59_999)
        with pytest.raises(Undecodable, match="pixels"):
            make(encoded(_NOISE), BOX, JPEG)
        monkeypatch.setitem(LIMITS, "bytes", 1000)
        with pytest.raises(Undecodable, match="bytes"):
            make(encoded(_NOISE), BOX, JPEG)

    def test_a_jpeg_of_many_scans(self) -> None:
        source = encoded(_NOISE, "JPEG", progressive=True)
        assert make(source, BOX, JPEG)
        scan = re.search(rb"\xff\xda.*?(?=\xff[\xc4\xda\xd9])", source, re.DOTALL)
        assert scan is not None
        with pytest.raises(Undecodable, match="scans"):
            make(source[: scan.end()] + scan[0] * 200 + source[scan.end() :], BOX, JPEG)

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
    def test_a_truncated_one(self, form: str) -> None:
        source = encoded(_NOISE, form)
        for length in (0, 1, 10, 100, len(source) // 2, len(source) * 9 // 10):
            with pytest.raises(Undecodable, match="undecodable"):
                make(source[:length], BOX, JPEG)

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
    def test_one_with_bytes_changed_is_a_picture_or_undecodable(self, form: str) -> None:
        chance, source = random.Random(form), encoded(_NOISE.resize((30, 20)), form)
        for _ in range(60):
            changed = bytearray(source)
            for _ in range(chance.randint(1, 8)):
                changed[chance.randrange(min(len(changed), 400))] = chance.randrange(256)
            with suppress(Undecodable):
                assert make(bytes(changed), BOX, WEBP).data

    @pytest.mark.parametrize(
        "source",
        [
            b"",
            b"no picture",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            encoded(corners(), "ICO"),
            encoded(corners(), "PPM"),
            encoded(corners(), "JPEG2000"),
            png(50, 50, b"not zlib"),
        ],
    )
    def test_what_is_no_picture_of_ours(self, source: bytes) -> None:
        with pytest.raises(Undecodable, match="undecodable"):
            make(source, BOX, JPEG)
