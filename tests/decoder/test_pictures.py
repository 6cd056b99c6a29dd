"""decoder/pictures.py: pictures from cameras, tools and enemies, made smaller, in this process."""

from __future__ import annotations

import io
import itertools
import random
import re
import statistics
import struct
import zlib
from contextlib import suppress
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageDraw, features

from flask_gridfs_pymongo.decoder import containers
from flask_gridfs_pymongo.decoder.errors import Undecodable
from flask_gridfs_pymongo.decoder.pictures import Picture, load, make
from flask_gridfs_pymongo.images import JPEG, LIMITS, PNG, WEBP, Variant

from ..helpers import bitmaps
from ..helpers.pictures import BLUE, GREEN, RED, WHITE, adam7, chunk, corners, encoded, png

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
            ((1, 1, 1), TypeError),
            ((1, 1, False, 0), ValueError),
            ((1, 1, False, 1.5), TypeError),
            ((1, 1, False, True), TypeError),
            (("1", 1), TypeError),
        ],
    )
    def test_a_variant_is_a_number_of_pixels(self, arguments: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match=r"Variant: (width|height|crop|max_pixels) must be"):
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
    @pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
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

    def test_heic_where_it_is_installed(self) -> None:
        """libheif turns it by the container, which cameras write; its EXIF does not count (ISO/IEC 23008-12)."""
        pytest.importorskip("pillow_heif")
        exif = Image.Exif()
        exif[0x0112] = 6
        made = opened(make(encoded(corners(), "HEIF", exif=exif), BOX, PNG))
        assert (made.size, near(quarters(made)[0], RED, 40)) == ((64, 32), True)

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


def shown(source: bytes, variant: Variant = BOX) -> Image.Image:
    """The variant as PNG, with transparency."""
    return opened(make(source, variant, PNG)).convert("RGBA")


class TestWhatDoesNotCount:
    """What browsers do not care about."""

    WHOLE = drawing(300, 200)

    def same(self, source: bytes, original: bytes) -> bool:
        return make(source, BOX, PNG) == make(original, BOX, PNG)

    def test_what_is_behind_a_picture(self) -> None:
        """Films of phones, a second picture, a ZIP archive: in them there are bytes that begin a scan, too."""
        film = random.Random(1).randbytes(8 << 20)
        for form in ("JPEG", "PNG", "GIF", "BMP"):
            source = encoded(self.WHOLE, form)
            assert self.same(source + film, source)
        photo = encoded(self.WHOLE, "JPEG")
        pair = encoded(self.WHOLE, "MPO", save_all=True, append_images=[Image.new("RGB", (300, 200))])
        assert self.same(pair + film, photo)

    def test_segments_of_a_jpeg(self) -> None:
        for options in ({}, {"progressive": True}, {"restart_marker_blocks": 3}, {"subsampling": 0}):
            source = encoded(self.WHOLE, "JPEG", **options)  # type: ignore[arg-type]
            extra = b"".join(
                bytes([0xFF, marker]) + struct.pack(">H", 60_002) + name.ljust(60_000, b"\xff")
                for marker in (0xE1, 0xE2, 0xED, 0xFE)
                for name in (b"http://ns.adobe.com/xap/1.0/\0", b"MPF\0", b"Photoshop 3.0\0", b"")
            )
            for added in (extra, extra * 20, b"\xff" * 9, b"\0" * 9):
                assert self.same(source[:2] + added + source[2:], source)
            assert self.same(source.replace(b"\xff\xd9", b"\xff\xff\xff\xd9"), source)

    def test_the_first_exif_counts(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        source, other = encoded(corners(), "JPEG", exif=exif), encoded(corners(), "JPEG", exif=b"Exif\0\0II*\0junk")
        segment = other[other.index(b"\xff\xe1") : other.index(b"\xff\xdb")]
        assert opened(make(source.replace(b"\xff\xdb", segment + b"\xff\xdb", 1), BOX, PNG)).size == (32, 64)

    def test_chunks_of_a_png(self) -> None:
        source = encoded(self.WHOLE)
        large = zlib.compress(b"x" * 2_000_000)
        for added in (
            chunk(b"zTXt", b"workflow\0\0" + large),
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + large),
            chunk(b"tEXt", b"comment\0" + b"x" * 2_000_000) * 2,
            chunk(b"iCCP", b"profile\0\0" + large),
            chunk(b"iCCP", b"profile\0\0no zlib"),
            chunk(b"pHYs", b"\0" * 9, crc=1),
            chunk(b"tIME", b"x"),
            chunk(b"acTL", b"\0\0\0\2\0\0\0\0") + chunk(b"fcTL", b"junk"),
            chunk(b"aaAa", b"x") * 1000,
        ):
            assert self.same(source[:33] + added + source[33:], source)
            assert self.same(source[:-12] + added + source[-12:], source)
        source = encoded(self.WHOLE.crop((0, 0, 90, 60)))
        data = source.index(b"IDAT")
        split = chunk(b"IDAT", b"") + b"".join(
            chunk(b"IDAT", source[at : at + 1]) for at in range(data + 4, data + 300)
        )
        rest = chunk(b"IDAT", source[data + 300 : -16])
        assert self.same(source[: data - 4] + split + rest + source[-12:], source)

    def test_a_picture_for_programs_without_animation_is_no_frame(self) -> None:
        still, first, second = (Image.new("RGB", (60, 40), colour) for colour in (RED, GREEN, BLUE))
        options: dict[str, Any] = {"save_all": True, "append_images": [first, second]}
        hidden = encoded(still, "PNG", default_image=True, **options)
        for source, colour in ((encoded(still, "PNG", **options), RED), (hidden, GREEN)):
            assert shown(source).getpixel((9, 9)) == (*colour, 255)
        assert shown(hidden.replace(b"acTL", b"acTx")).getpixel((9, 9)) == (*RED, 255)

    @pytest.mark.parametrize(
        ("form", "options", "share"),
        [
            ("JPEG", {}, 0.5),
            ("JPEG", {"progressive": True}, 0.9),
            ("PNG", {}, 0.5),
            ("GIF", {"interlace": 0}, 0.5),
            ("WEBP", {}, 0.5),
            ("TIFF", {}, 0.5),
        ],
    )
    def test_last_bytes(self, form: str, options: dict[str, Any], share: float) -> None:
        """What is there is shown, and nothing where nothing is."""
        source = encoded(self.WHOLE, form, **options)
        whole, variant = shown(source), Variant(64, 64)
        for length in (len(source) - 1, len(source) - 2, len(source) - 30, int(len(source) * share)):
            cut = shown(source[:length], variant)
            rows = 42 if length > len(source) - 40 else int(42 * share) - 3
            area = (0, 0, 64, rows)
            parts = (image.crop(area).convert("L").tobytes() for image in (cut, whole))
            assert statistics.mean(abs(a - b) for a, b in zip(*parts, strict=True)) < 8, (length, rows)
            if rows < 42 and form != "WEBP" and not options.get("progressive"):
                assert cut.getpixel((30, 41)) == (0, 0, 0, 0)

    @pytest.mark.parametrize("form", ["PNG", "GIF"])
    @pytest.mark.parametrize("transparent", [False, True])
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
    def test_an_interlaced_picture_gets_its_other_pixels_from_those_before(
        self, form: str, transparent: bool, share: float
    ) -> None:
        """GIF is interlaced unless one says otherwise."""
        picture = self.WHOLE.resize((160, 104)).quantize(64)
        options = {"transparency": 63} if transparent else {}
        source = encoded(picture, "GIF", **options) if form == "GIF" else adam7(picture.convert("RGB"))
        parts = (image.tobytes() for image in (shown(source[: int(len(source) * share)]), shown(source)))
        assert statistics.mean(abs(a - b) for a, b in zip(*parts, strict=True)) < 20

    def test_cmyk(self) -> None:
        source = encoded(self.WHOLE.convert("CMYK"), "JPEG")
        assert shown(source[: len(source) // 2], Variant(64, 64)).getpixel((30, 41)) == (0, 0, 0, 0)

    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
    def test_wrong_bytes_in_a_scan(self, options: dict[str, Any]) -> None:
        """libjpeg refuses a picture for a marker that does not belong there, after it has decoded it."""
        source = bytearray(encoded(self.WHOLE, "JPEG", **options))
        half = (source.index(b"\xff\xda") + len(source)) // 2
        source[half : half + 4] = b"\xff\x0d\0\2"
        made, whole = shown(bytes(source), Variant(64, 64)), shown(encoded(self.WHOLE, "JPEG"), Variant(64, 64))
        parts = (image.convert("L").crop((0, 0, 64, 16)).tobytes() for image in (made, whole))
        assert statistics.mean(abs(a - b) for a, b in zip(*parts, strict=True)) < 12

    def test_scans_of_a_baseline_that_have_a_component_each(self) -> None:
        source = encoded(Image.new("RGB", (64, 64), BLUE), "JPEG", subsampling=0)
        scans = b"".join(b"\xff\xda\0\x08\1%c\0\0\x3f\0x" % number for number in (1, 2, 3, 1))
        prepared = containers.prepare(source[: source.index(b"\xff\xda")] + scans + b"\xff\xd9")
        assert prepared.source.count(b"\xff\xda") == 3

    def test_the_beginning_of_a_bmp_is_its_lower_end(self) -> None:
        source = encoded(corners(), "BMP")
        cut = shown(source[: len(source) * 3 // 4])
        assert near(cut.getpixel((5, 30)), (*WHITE, 255))
        assert cut.getpixel((5, 2)) == (0, 0, 0, 0)


class TestAsInBrowsers:
    def test_orientation_is_that_of_exif_alone(self) -> None:
        xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        xmp += (
            b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
        )
        for form in ("JPEG", "WEBP", "PNG", "TIFF"):
            assert opened(make(encoded(corners(), form, xmp=xmp), BOX, PNG)).size == (64, 32)

    def test_exif_turns_neither_webp_nor_by_a_number_of_another_type(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        sources = [encoded(corners(), form, exif=exif) for form in ("WEBP", "JPEG", "PNG")]
        short = struct.pack(">HHIH", 0x0112, 3, 1, 6)
        assert all(short in source for source in sources[1:])
        for other in (struct.pack(">HHIH", 0x0112, 4, 1, 6), struct.pack(">HHIH", 0x0112, 3, 2, 6)):
            for source in (sources[0], *(source.replace(short, other) for source in sources[1:])):
                assert opened(make(source, BOX, PNG)).size == (64, 32)

    def test_an_orientation_that_means_nothing_is_passed_over(self) -> None:
        exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2)
        exif += b"".join(struct.pack(">HHIHH", 0x0112, 3, 1, value, 0) for value in (9, 6)) + bytes(4)
        assert opened(make(encoded(corners(), "JPEG", exif=exif), BOX, PNG)).size == (32, 64)

    @pytest.mark.parametrize("form", ["AVIF", "HEIF"])
    def test_code_points_of_colours(self, form: str) -> None:
        if form == "HEIF":
            pytest.importorskip("pillow_heif")
        elif not features.check("avif"):
            pytest.skip("this Pillow has no AVIF")
        source = encoded(Image.new("RGB", (64, 64), (150, 90, 60)), form)
        srgb = b"colrnclx" + struct.pack(">HH", 1, 13)
        assert srgb in source
        for points, colour in {
            (1, 13): (150, 90, 60),
            (2, 2): (150, 90, 60),
            (12, 13): (158, 88, 54),  # Display P3
            (9, 13): (172, 85, 52),  # BT.2020
            (1, 8): (201, 160, 133),  # linear
        }.items():
            changed = source.replace(srgb, b"colrnclx" + struct.pack(">HH", *points))
            assert near(shown(changed).getpixel((9, 9)), (*colour, 255), 6), (points, shown(changed).getpixel((9, 9)))
        with pytest.raises(Undecodable):
            make(source[: source.index(srgb) + 9], BOX, PNG)

    @pytest.mark.parametrize(
        ("mode", "low", "high"),
        [("F", 0.0, 1.0), ("F", -5.0, 300.0), ("I", 0, 2**31 - 1), ("I", 7, 9), ("I;16", 0, 65_535)],
    )
    def test_numbers_of_other_ranges(self, mode: str, low: float, high: float) -> None:
        image = Image.new(mode, (90, 30), low)
        for left, value in ((30, type(low)((low + high) / 2)), (60, high)):
            image.paste(Image.new(mode, (30, 30), value), (left, 0))
        made = shown(encoded(image, "TIFF"))
        assert all(near(made.getpixel((x, 10)), (grey,) * 3 + (255,)) for x, grey in ((5, 0), (32, 127), (59, 255)))
        assert shown(encoded(Image.new(mode, (9, 9), low), "TIFF")).size == (9, 9)

    def test_a_transparent_grey_of_16_bits(self) -> None:
        source = encoded(Image.frombytes("I;16", (60, 30), struct.pack("<60H", *[4242] * 30, *[60_000] * 30) * 30))
        made = shown(source[:33] + chunk(b"tRNS", struct.pack(">H", 4242)) + source[33:])
        assert (made.getpixel((5, 5))[3], made.getpixel((50, 5))[3]) == (0, 255)  # type: ignore[index]
        assert near(made.getpixel((50, 5)), (233, 233, 233, 255))

    @pytest.mark.parametrize("bits", [1, 2, 4])
    def test_a_transparent_grey_of_few_bits(self, bits: int) -> None:
        """As tools that make PNGs smaller write it."""
        rows = (b"\0" + b"\x55" * 4 + b"\0" * 4) * 8  # the left half of 01, 0101, or of 0 and 1
        head = struct.pack(">IIBBBBB", 64 // bits, 8, bits, 0, 0, 0, 0)
        source = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"tRNS", bytes((0, 5 if bits == 4 else 1)))
        made = shown(source + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""), Variant(200, 200))
        assert [made.getpixel((x, 4))[3] for x in (1, made.width - 1)] == [0, 255]  # type: ignore[index]

    @pytest.mark.parametrize(
        ("gamma", "srgb", "grey"), [(100_000, False, 188), (45_455, False, 128), (100_000, True, 128), (0, False, 128)]
    )
    def test_the_gamma_of_a_png(self, gamma: int, srgb: bool, grey: int) -> None:
        for mode, colour in (("L", 128), ("RGB", (128, 128, 128)), ("RGBA", (128, 128, 128, 255))):
            source = encoded(Image.new(mode, (9, 9), colour))
            added = chunk(b"gAMA", struct.pack(">I", gamma)) + (chunk(b"sRGB", b"\0") if srgb else b"")
            assert near(shown(source[:33] + added + source[33:]).getpixel((5, 5)), (grey, grey, grey, 255), 2)

    @pytest.mark.parametrize(
        ("added", "colour"),
        [
            ({b"cICP": bytes((9, 8, 0, 1))}, (255, 159, 113)),
            ({b"cICP": bytes((12, 13, 0, 1))}, (215, 93, 31)),
            ({b"cICP": bytes((1, 13, 0, 1)), b"gAMA": struct.pack(">I", 100_000)}, (200, 100, 50)),
            ({b"cICP": bytes((9, 16, 0, 1))}, (255, 0, 0)),
            ({b"gAMA": struct.pack(">I", 100_000), b"iCCP": b"x\0\0" + zlib.compress(b"junk")}, (227, 168, 122)),
        ],
    )
    def test_what_the_colours_of_a_png_mean(self, added: dict[bytes, bytes], colour: tuple[int, ...]) -> None:
        source = encoded(Image.new("RGB", (9, 9), (200, 100, 50)))
        chunks = b"".join(chunk(kind, content) for kind, content in added.items())
        found = shown(source[:33] + chunks + source[33:]).getpixel((5, 5))
        assert near(found, (*colour, 255), 8), found

    def test_rare_kinds_of_bmp(self) -> None:
        """All that are whole, opaque and have enough colours; how the others look, Chromium says."""
        others = re.compile("1 bit|2 bits|half|jumps|RLE24|(f|8)000, header|ff000000|alpha (in|behind)|transparent")
        found = {name: shown(source) for name, source in bitmaps.samples(corners(32, 20)) if not others.search(name)}
        wrong = [
            name
            for name, made in found.items()
            for seen, wanted in zip(quarters(made), (RED, GREEN, BLUE, WHITE), strict=True)
            if not near(seen, wanted)
        ]
        assert (len(found) > 60, wrong) == (True, [])

    def test_a_first_frame_that_is_smaller_than_the_rest(self) -> None:
        source = bytearray(encoded(Image.new("RGB", (40, 20), RED).quantize(), "GIF"))
        source[6:10] = struct.pack("<HH", 60, 40)  # the canvas
        made = shown(bytes(source))
        assert made.size == (60, 40)
        assert near(made.getpixel((10, 10)), (*RED, 255))
        assert made.getpixel((50, 10)) == made.getpixel((10, 30)) == (0, 0, 0, 0)

    def test_a_first_frame_of_a_webp_that_is_smaller_than_the_rest(self) -> None:
        picture = encoded(Image.new("RGB", (40, 20), RED), "WEBP")[12:]
        sizes = [(side - 1).to_bytes(3, "little") for side in (60, 40, 40, 20)]
        frame = bytes(6) + sizes[2] + sizes[3] + bytes(4) + picture
        body = b"WEBPVP8X" + struct.pack("<IB3x", 10, 2) + sizes[0] + sizes[1]
        body += b"ANIM" + struct.pack("<IIH", 6, 0xFF00FF00, 0) + b"ANMF" + struct.pack("<I", len(frame)) + frame
        made = shown(b"RIFF" + struct.pack("<I", len(body)) + body)
        assert near(made.getpixel((10, 10)), (*RED, 255))
        assert made.getpixel((50, 10)) == made.getpixel((10, 30)) == (0, 0, 0, 0)


class TestTheSize:
    def test_photos_of_phones_and_cameras(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a baseline JPEG little is decoded, so that it may be larger."""
        monkeypatch.setitem(LIMITS, "pixels", 10_000)
        monkeypatch.setitem(LIMITS, "baseline", 40_000)
        large = Image.new("RGB", (200, 200))
        assert make(encoded(large, "JPEG"), BOX, JPEG)
        for source, reason, most in (
            (encoded(Image.new("RGB", (200, 201)), "JPEG"), "baseline", 40_000),
            (encoded(large, "JPEG", progressive=True), "pixels", 10_000),
            *((encoded(large, form), "pixels", 10_000) for form in ("PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")),
        ):
            with pytest.raises(Undecodable) as refused:
                make(source, BOX, JPEG)
            assert (refused.value.reason, refused.value.most) == (reason, most)
            assert make(source, Variant(64, 64, max_pixels=40_200), JPEG)
            with pytest.raises(Undecodable) as refused:
                make(source, Variant(64, 64, max_pixels=39_999), JPEG)
            assert refused.value.most == 39_999


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

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
    def test_one_of_which_only_the_beginning_is_left(self, form: str) -> None:
        source = encoded(_NOISE, form)
        for length in (0, 1, 10, 100):
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
