"""Language models and classifiers: downloading, loading, random initialization, generation."""
