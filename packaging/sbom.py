"""Writes what the program is made of as a CycloneDX document (1.6, JSON), for the wheel.

Usage: sbom.py OUT

Each crate that the program is linked from, as packaging/licences.py lists them, with version,
licence, source and the SHA-256 that Cargo.lock has of it, and which needs which; and the standard
library of Rust. Nothing of the machine and no time is in it: the same lock file gives the same
bytes. The document is validated against the schema before it is written. Needs
cyclonedx-python-lib[json-validation].
"""

import json
import subprocess
import sys
import uuid
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from licences import ROOT, cargo, crates

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def checksums():
    """Name and version of each locked crate: its SHA-256."""
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))["package"]
    return {(one["name"], one["version"]): one.get("checksum") for one in locked}


def component(package, sha256, kind=ComponentType.LIBRARY):
    """A crate."""
    name, version = package["name"], package["version"]
    links = []
    if package["repository"]:
        address = XsUri(package["repository"])
        links.append(ExternalReference(type=ExternalReferenceType.VCS, url=address))
    # `/` for `OR` is an old way to write it.
    licence = (package["license"] or "").replace("/", " OR ")
    return Component(
        type=kind,
        name=name,
        version=version,
        bom_ref=f"{name}@{version}",
        purl=PackageURL("cargo", name=name, version=version),
        licenses=[LicenseExpression(licence)] if licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else [],
        external_references=links,
    )


def standard_library():
    """Rust's own library, of the toolchain that builds."""
    command = ["rustc", "--version"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    version = said.split()[1]
    licence = {"license": "MIT OR Apache-2.0", "repository": "https://github.com/rust-lang/rust"}
    return component({"name": "std", "version": version, **licence}, None)


def needs():
    """For each package's id in `cargo metadata`, the ids of those that it needs."""
    metadata = json.loads(cargo("metadata", "--format-version", "1"))
    nodes = metadata["resolve"]["nodes"]
    own = next(one for one in metadata["packages"] if one["name"] == "aqlens")
    return own, {node["id"]: node["dependencies"] for node in nodes}


def document():
    """The bill of materials."""
    own, edges = needs()
    sha256 = checksums()
    root = component(own, None, ComponentType.APPLICATION)
    by_id = {own["id"]: root}
    for package in crates():
        at = (package["name"], package["version"])
        by_id[package["id"]] = component(package, sha256[at])
    bom = Bom(components=[one for one in by_id.values() if one is not root])
    bom.metadata.component = root
    bom.metadata.timestamp = None
    for package, one in by_id.items():
        bom.register_dependency(one, [by_id[id] for id in edges[package] if id in by_id])
    std = standard_library()
    bom.components.add(std)
    bom.register_dependency(root, [std])
    named = " ".join(sorted(f"{one.name}@{one.version}" for one in bom.components))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"aqlens {own['version']} {named}")
    return bom


def main():
    out = Path(sys.argv[1])
    bom = document()
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    # The library writes the time of writing where there is none.
    written = json.loads(text)
    written["metadata"].pop("timestamp", None)
    text = json.dumps(written, indent=1, ensure_ascii=False) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        sys.exit(f"error: {out} would be no CycloneDX document: {wrong}")
    out.write_text(text, encoding="utf-8")
    print(f"{out}: {len(bom.components)} components")


if __name__ == "__main__":
    main()
