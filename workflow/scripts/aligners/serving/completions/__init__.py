"""Chat completions of the upstream, whole and as streams: their texts, and corrected ones."""
