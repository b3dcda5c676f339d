"""To be imported before anything that imports torchvision.

torchvision without its compiled operators, as beside CPU builds of torch, fails on import unless
these two are defined. Nothing here calls them.
"""

import torch

_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    try:
        _LIBRARY.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except RuntimeError:
        continue  # it is compiled in
