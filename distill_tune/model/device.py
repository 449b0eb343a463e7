"""The device of a model, by the name that a user gives."""

import torch

from distill_tune.errors import InputError, Parameter


def chosen_device(name: str | None) -> torch.device:
    """Return the device of a name; None selects a GPU if there is one.

    Raises:
        InputError: There is no device of that name.
    """
    has_gpu = torch.cuda.is_available()
    if name is None:
        return torch.device("cuda" if has_gpu else "cpu")
    names = ["cpu", *(["cuda"] if has_gpu else [])]
    names += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if name not in names:
        where = "" if has_gpu else " (torch sees no GPU)"
        expected = f"{', '.join(names)}{where}"
        raise InputError(Parameter("device"), got=name, expected=expected, choices=names)
    return torch.device(name)
