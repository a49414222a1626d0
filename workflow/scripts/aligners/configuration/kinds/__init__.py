"""The kinds of YAML files under config/ and resources/criteria/, one module a kind.

Each is a Pydantic model: every key with its type, bounds, default and description. The JSON Schemas
in workflow/schemas/ and the tables of config/README.md are generated from them (`make docs`).
"""
