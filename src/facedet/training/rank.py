"""A further process of a training (trainer=ddp), as Lightning starts it: `rank.py CONFIG`."""

import sys

from omegaconf import OmegaConf

from facedet.errors import FacedetError
from facedet.training.fit import train


def main(path: str) -> int:
    """Trains with the composed config of the first process; returns the exit code."""
    try:
        config = OmegaConf.load(path)
        assert OmegaConf.is_dict(config)
        train(config)  # type: ignore[arg-type]
    except FacedetError as error:
        print(f"facedet train: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    # Lightning adds words for Hydra.
    sys.exit(main(sys.argv[1]))
