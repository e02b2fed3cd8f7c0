"""The sections of the page, one file each: from runs to figures and tables."""
