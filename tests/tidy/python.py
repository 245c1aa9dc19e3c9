"""Prints what Python's own grammar says of the files that are named, as a list in JSON: of each
file its functions with their lengths in lines, and all words of its imports.
"""

import ast
import json
import sys


def told(path):
    with open(path, encoding="utf-8") as file:
        nodes = list(ast.walk(ast.parse(file.read(), path)))
    functions, imported = [], set()
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            functions.append((node.name, node.end_lineno + 1 - node.lineno))
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            imported.update(word for name in names for word in name.split("."))
    return {"path": path, "functions": functions, "imported": sorted(imported)}


print(json.dumps([told(path) for path in sys.argv[1:]]))
