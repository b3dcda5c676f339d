"""The figures that the thesis printed in its Tables 1 and 2, for KSDD2."""

from patchcore_dual.experiments.protocols import PATCHCORE, THESIS, WITHOUT

# Image and pixel AUROC by table and by our name of the method; the thesis used DIAG.
PUBLISHED = {
    "table1": {
        PATCHCORE.name: {"image_auroc": 0.912, "pixel_auroc": 0.958},
        THESIS.name: {"image_auroc": 0.931, "pixel_auroc": 0.969},
        "PatchCoreDual with DIAG": {"image_auroc": 0.942, "pixel_auroc": 0.977},
    },
    "table2": {
        WITHOUT: {"image_auroc": 0.931, "pixel_auroc": 0.969},
        "50 synthetic": {"image_auroc": 0.934, "pixel_auroc": 0.971},
        "100 synthetic": {"image_auroc": 0.942, "pixel_auroc": 0.977},
        "150 synthetic": {"image_auroc": 0.935, "pixel_auroc": 0.972},
    },
}
