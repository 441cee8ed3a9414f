"""Says of each YAML file whether pipelines/pipeline.schema.json accepts it.

Usage: validate.py SCHEMA FILE...

Prints one JSON object: file name -> null where it is accepted, else the first fault, as
"place: message". A file that is no YAML mapping of one document has the fault "not read".
"""

import json
import re
import sys
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match


class Loader(yaml.SafeLoader):
    """Takes for yes or no what YAML 1.2 takes for it: `no`, `on` and dates are texts."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def fault(validator: Draft202012Validator, path: Path) -> str | None:
    """The fault that says most, or None."""
    try:
        value = yaml.load(path.read_bytes(), Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        return "not read"
    error = best_match(validator.iter_errors(value))
    if error is None:
        return None
    place = ".".join(str(step) for step in error.absolute_path) or "the file"
    return f"{place}: {error.message}"


def main() -> None:
    schema, *files = sys.argv[1:]
    schema = json.loads(Path(schema).read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    print(json.dumps({Path(file).name: fault(validator, Path(file)) for file in files}))


if __name__ == "__main__":
    main()
