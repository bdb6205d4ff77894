"""Words that pupils suggest."""
