"""The choices of the command line, which loads no registry for its help, are the registries'."""

from typing import get_args

from patchcore_dual.cli.choices import BackboneName, RuleName
from patchcore_dual.features import BACKBONES
from patchcore_dual.scoring import RULES


def test_every_rule_and_backbone_can_be_chosen():
    assert get_args(RuleName) == tuple(RULES)
    assert get_args(BackboneName) == tuple(BACKBONES)
