"""facebookresearch/sam2 by its own module names: what is built on it runs after one change."""

from .import_hook import install as install, uninstall as uninstall
