"""Pictures with changed bytes, to the child processes that decode: ``python -m tests.fuzz_pictures --seconds 600``."""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image

from flask_gridfs_pymongo.decoder.errors import Busy, Undecodable, Unfinished
from flask_gridfs_pymongo.decoder.pool import MAX_PROCESSES, TIMEOUT, slot
from flask_gridfs_pymongo.images import JPEG, PNG, WEBP, Variant

from .helpers.bombs import AVIF, bmp, gif, jpeg_segments, strips, tile, webp
from .helpers.pictures import encoded

_SIGNATURES = {JPEG: b"\xff\xd8", PNG: b"\x89PNG", WEBP: b"RIFF"}


def samples() -> list[bytes]:
    """A picture of each format and of many of their kinds, and some bombs."""
    colours = Image.effect_noise((90, 60), 90).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    frames: dict[str, Any] = {"save_all": True, "append_images": [colours.rotate(90)]}
    kinds = [(colours, form, {}) for form in ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")]
    kinds += [(colours, form, frames) for form in ("AVIF", "GIF", "PNG", "TIFF", "WEBP")]
    kinds += [(colours, form, {"exif": exif}) for form in ("JPEG", "PNG", "TIFF", "WEBP")]
    kinds += [(colours, "TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")]
    kinds += [(colours.convert(mode), "PNG", {}) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")]
    kinds += [(colours, "JPEG", {"progressive": True}), (colours.convert("CMYK"), "JPEG", {})]
    kinds += [(colours, "WEBP", {"lossless": True}), (colours.convert("P"), "BMP", {})]
    bombs = [AVIF, bmp(900, 600), gif(900, 600), jpeg_segments(50, 99), strips(99), tile(64), webp(900, 600)]
    return [encoded(image, form, **options) for image, form, options in kinds] + bombs


def changed(rng: random.Random, source: bytes) -> bytes:
    """Change, remove, repeat and cut bytes, most of them near the beginning, where headers are."""
    data = bytearray(source)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = int(len(data) * rng.random() ** rng.choice((1, 3)))
        length = rng.choice((1, 1, 2, 4, 50))
        part = data[at : at + length]
        other = rng.choice(
            (rng.randbytes(length), b"\0" * length, b"\xff" * length, b"", bytes(part) * rng.randrange(9))
        )
        data[at : at + length] = other
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)


@dataclass
class Outcome:
    """What a run saw."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0
    failures: list[str] = field(default_factory=list)


def run(seed: int, seconds: float) -> Outcome:
    """Decode changed pictures for so many seconds; each is made of *seed* and its number alone."""
    outcome, sources, end = Outcome(), samples(), time.monotonic() + seconds

    def decode(number: int) -> str:
        rng = random.Random(f"{seed}-{number}")
        source = changed(rng, rng.choice(sources))
        content_type = rng.choice((JPEG, PNG, WEBP))
        arguments = {**asdict(Variant(64, 64, rng.random() < 0.5)), "content_type": content_type}
        try:
            with slot() as decoder:
                answer, data = decoder.perform("picture", arguments, [source], len(source))
        except Undecodable as error:
            return error.reason
        except (Busy, Unfinished) as error:
            return type(error).__name__
        width, height = answer.pop("pixels")
        if (
            answer != {"content_type": content_type}
            or min(width, height) < 1
            or not data.startswith(_SIGNATURES[content_type])
        ):
            outcome.failures.append(f"{seed}-{number}: {answer}, {data[:20]!r}")
        return "decoded"

    def work(thread: int) -> None:
        for number in range(thread, 10**9, MAX_PROCESSES):
            start = time.monotonic()
            if start > end:
                return
            outcome.outcomes[decode(number)] += 1
            outcome.slowest = max(outcome.slowest, time.monotonic() - start)

    with ThreadPoolExecutor(MAX_PROCESSES) as threads:
        list(threads.map(work, range(MAX_PROCESSES)))
    if outcome.slowest > TIMEOUT + 1:
        outcome.failures.append(f"one took {outcome.slowest:.1f} s")
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = run(options.seed, options.seconds)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"seed {options.seed}: {outcome.outcomes.total()} pictures, the slowest took {outcome.slowest:.2f} s")
    print(", ".join(f"{name}: {count}" for name, count in outcome.outcomes.most_common()))
    print(f"this process has {grown // 1024} MiB more")
    print("\n".join(outcome.failures[:50]) or "no failures")
    raise SystemExit(bool(outcome.failures))


if __name__ == "__main__":
    main()
