"""Python code of the documents, checked without running it."""

import ast
from importlib import import_module


def check_python(code: str) -> None:
    """Compile code, and import what it imports.

    Raises:
        SyntaxError, ImportError: it cannot run.
    """
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            for name in node.names:
                import_module(name.name)
        elif isinstance(node, ast.ImportFrom):
            module = import_module(str(node.module))
            for name in node.names:
                if not hasattr(module, name.name):
                    raise ImportError(f"{node.module} has no {name.name}")
