"""Language models and classifiers: found, loaded, made from random weights, and generating."""
