"""One small rule per operator: how the axes that come out relate to those that went in."""

from .callsite import Axes, Rule, Site, Tracked, freeze_all
from .table import RULES, rule_of

__all__ = ["RULES", "Axes", "Rule", "Site", "Tracked", "freeze_all", "rule_of"]
