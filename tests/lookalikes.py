"""Small folders in the exact layouts of published data sets, for tests. All seeded."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def surface(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    """A smooth random RGB surface, different for each seed."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(60, 200, (max(height // 8, 2), max(width // 8, 2), 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noise = generator.integers(-6, 7, (height, width, 3))
    return np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)


def save(path: Path, array: NDArray[np.uint8]) -> Path:
    """Write an array as an image, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def scratch(image: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Blacken x, y, width, height of `image` in place; its mask, 0 and 255."""
    x, y, width, height = box
    mask = np.zeros(image.shape[:2], np.uint8)
    image[y : y + height, x : x + width] = 20
    mask[y : y + height, x : x + width] = 255
    return mask


def make_ksdd2(
    folder: Path, train: tuple[int, int] = (12, 4), test: tuple[int, int] = (6, 3), scale: float = 1
) -> Path:
    """KSDD2's layout: `train` and `test` are numbers of (normal, defective) images.

    RGB images of about 230 x 630 pixels (times `scale`), each of its own size, with _GT masks;
    the first defect is one pixel high; the last normal training image has a "(copy)" pair.
    """
    for split, first, (n_good, n_bad) in (("train", 10000, train), ("test", 20000, test)):
        for number in range(n_good + n_bad):
            seed = first + number
            width = round((225 + 7 * number % 19) * scale)
            height = round((620 + 11 * number % 31) * scale)
            image = surface(seed, width, height)
            mask = np.zeros((height, width), np.uint8)
            if number < n_bad:
                thickness = 1 if number == 0 else max(2, height // 25)
                mask = scratch(image, (width // 5, height // 4 + 3 * number, width // 3, thickness))
            save(folder / split / f"{seed}.png", image)
            save(folder / split / f"{seed}_GT.png", mask)
    last = 10000 + sum(train) - 1
    for name in (f"{last}", f"{last}_GT"):
        content = (folder / "train" / f"{name}.png").read_bytes()
        (folder / "train" / f"{name} (copy).png").write_bytes(content)
    return folder


def make_kolektorsdd(folder: Path, n_commutators: int = 6, n_parts: int = 3) -> Path:
    """KolektorSDD's layout: grey parts, Part0 of each commutator defective, one-bit masks."""
    for number in range(1, n_commutators + 1):
        for part in range(n_parts):
            image = surface(100 * number + part, 50, 126)
            mask = np.zeros(image.shape[:2], np.uint8)
            if part == 0:
                mask = scratch(image, (10, 40 + number, 20, 4))
            where = folder / f"kos{number:02d}"
            save(where / f"Part{part}.jpg", image[..., 0])
            Image.fromarray(mask).convert("1").save(where / f"Part{part}_label.bmp")
    return folder


def make_mvtec(folder: Path, n_good: int = 6, n_bad: int = 3) -> Path:
    """One category of MVTec AD with the kinds crack and hole, `n_bad` images of each."""
    for number in range(n_good):
        save(folder / f"train/good/{number:03d}.png", surface(number, 48, 40))
        save(folder / f"test/good/{number:03d}.png", surface(50 + number, 48, 40))
    for first, kind in ((100, "crack"), (200, "hole")):
        for number in range(n_bad):
            image = surface(first + number, 48, 40)
            mask = scratch(image, (5 + number, 8, 12, 6))
            save(folder / f"test/{kind}/{number:03d}.png", image)
            save(folder / f"ground_truth/{kind}/{number:03d}_mask.png", mask)
    return folder


def make_magnetic_tile(folder: Path, n_tiles: int = 4, n_exposures: int = 3) -> Path:
    """Magnetic Tile's layout with tiles.csv: each tile in several exposures; one empty mask."""
    rows = ["image,tile"]
    for first, kind in ((0, "Free"), (100, "Blowhole"), (200, "Uneven")):
        for tile in range(n_tiles):
            for exposure in range(n_exposures):
                image = surface(first + tile, 60, 70) // (exposure + 1)
                mask = np.zeros(image.shape[:2], np.uint8)
                if kind != "Free":
                    mask = scratch(image, (10, 20, 9, 5))
                if kind == "Uneven" and tile == exposure == 0:
                    mask[:] = 0
                name = f"MT_{kind}/Imgs/exp{exposure + 1}_num_{first + tile}"
                save(folder / f"{name}.jpg", image[..., 0])
                save(folder / f"{name}.png", mask)
                rows.append(f"{name}.jpg,{kind.lower()}-{tile:03d}")
    (folder / "tiles.csv").write_text("\n".join(rows) + "\n")
    return folder


def make_folder(folder: Path, n_good: int = 8, n_bad: int = 4) -> Path:
    """Plain folders: good/, scratch/ and stain/, with masks for scratch/ alone."""
    for number in range(n_good):
        save(folder / f"good/{number}.png", surface(number, 40, 30))
    for number in range(n_bad):
        image = surface(100 + number, 40, 30)
        mask = scratch(image, (4, 5 + number, 20, 2))
        save(folder / f"scratch/{number}.png", image)
        save(folder / f"masks/scratch/{number}_mask.png", mask)
        save(folder / f"stain/s{number}.png", surface(200 + number, 40, 30))
    return folder


def bracket(
    number: int, x: float = 0, y: float = 0, turn: float = 0, *, scratched: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A plate with holes on a dark ground, 160x120, moved; and its scratch, 0 and 255."""
    rng = np.random.default_rng(number)
    plate = np.full((120, 160), 40.0)
    cv2.rectangle(plate, (32, 26), (126, 92), (170.0,), -1)
    cv2.rectangle(plate, (100, 26), (126, 50), (40.0,), -1)
    for centre, radius in (((52, 44), 8), ((56, 76), 6), ((104, 74), 9)):
        cv2.circle(plate, centre, radius, (70.0,), -1)
    mask = np.zeros(plate.shape, np.uint8)
    if scratched:
        cv2.line(mask, (66, 52 + number % 9), (88, 60 - number % 7), (255,), 2)
        plate[mask > 0] = 95
    matrix = cv2.getRotationMatrix2D((79.5, 59.5), turn, 1)
    matrix[:, 2] += np.array([x, y])
    size = plate.shape[::-1]
    plate = cv2.warpAffine(plate, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST)
    plate += cv2.GaussianBlur(rng.normal(0, 12, plate.shape), (0, 0), 1.5)
    return _grey(plate), mask


def make_brackets(folder: Path, n_good: int = 16, n_bad: int = 6) -> Path:
    """Plain folders of brackets that move by up to 10 pixels each way and 4 degrees."""
    rng = np.random.default_rng(0)
    for number in range(n_good + n_bad):
        x, y, turn = rng.uniform(-1, 1, 3) * (10, 10, 4)
        bad = number >= n_good
        image, mask = bracket(number, x, y, turn, scratched=bad)
        save(folder / f"{'scratch' if bad else 'good'}/{number}.png", image)
        if bad:
            save(folder / f"masks/scratch/{number}.png", mask)
    return folder


def pin_in_a_pose(number: int) -> NDArray[np.uint8]:
    """One of many pins, all different, on an even background in one of three poses."""
    rng = np.random.default_rng(number)
    values = np.full((192, 192), 205.0)
    length, width, pitch = rng.uniform(120, 130), rng.uniform(16, 19), rng.uniform(8, 12)
    rows = np.arange(192)
    for row in range(int(96 - length / 2), int(96 + length / 2)):
        half = width / 2 + 3 * np.sin(6.28 * rows[row] / pitch) * (row < 120)
        values[row, int(96 - half) : int(96 + half)] = rng.uniform(88, 100)
    angle = (0, 60, 120)[number % 3] + rng.normal(0, 3)
    turn = cv2.getRotationMatrix2D((96, 96), angle, 1)
    turned = cv2.warpAffine(values, turn, (192, 192), borderValue=(205.0,))
    return _grey(turned + rng.normal(0, 2, turned.shape))


def cloth_tile(number: int) -> NDArray[np.uint8]:
    """A tile of cloth; one in eight has the edge of the cloth, always in the same place."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:192, :192]
    phase = rng.uniform(0, 6.28, 2)
    values = 90 + 18 * np.sin(x / 1.6 + phase[0]) * np.sin(y / 1.9 + phase[1])
    values += cv2.GaussianBlur(rng.normal(0, 14, (192, 192)), (0, 0), 1.2)
    if number % 8 == 0:
        values[:, :40] = 215 + rng.normal(0, 3, (192, 40))
        values[:, 40:46] = 40
    return _grey(values)


def _grey(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
