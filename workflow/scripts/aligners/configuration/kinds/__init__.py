"""The kinds of YAML files under config/ and resources/criteria/, with one module for each kind.

Each kind is a Pydantic model: every key has a type, bounds, a default and a description. The JSON
Schemas in workflow/schemas/ and the tables of config/README.md are generated from them (`make
docs`).
"""
