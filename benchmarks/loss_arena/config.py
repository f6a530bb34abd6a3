"""Every setting of one run. No torch here: planning reads it."""

from dataclasses import dataclass

from contrastbench.runner import setting

TRAINED, CONVOLVED = {"epochs": "(0, inf)"}, {"stage": ("images",)}


@dataclass(frozen=True)
class Config:
    """One loss on one data set. The stage is the kind of data: images, graphs, sentences or sequences."""

    dataset: str = "mnist5k"
    loss: str = "nt_xent"  # a name of losses.py, "none", or FILE.py:FUNCTION of a loss of your own
    settings: tuple[str, ...] = ()  # what the loss is called with: ("temperature=0.5", "beta=1")
    sha256: str = ""  # of the file of your own loss, and of what it imports from beside it
    items: int = setting(0, "[0, inf)")  # training images, sentences or users; 0 takes all
    batch: int = setting(256, "[4, inf)")  # items; the loss sees two views of each
    epochs: int = setting(6, "[0, inf)")  # 0 leaves the encoder as it is drawn
    learning_rate: float = setting(3e-3, "(0, inf)", **TRAINED)  # Adam, constant
    encoder: str = setting("small_resnet", ("small_resnet", "resnet18"), **CONVOLVED)
    width: int = setting(32, "[4, 4096]", stage=("graphs", "sentences", "sequences"))
    weight: float = setting(1.0, "[0, inf)", stage=("sequences",))  # of the loss beside the next-item loss
    tests: tuple[str, ...] = setting(("Lee",), stage=("sentences",))
