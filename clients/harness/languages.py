"""How each language's programs are called, once its `build` has run."""

import os
from pathlib import Path
from typing import NamedTuple

CLIENTS = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ["CARGO_TARGET_DIR"])
PYTHON = TARGET / "clients/python/bin/python"
JAVA = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{CLIENTS}/java/target/classes:{CLIENTS}/java/target/lib/*"]


class Language(NamedTuple):
    suite: list
    # Takes the address of a gateway.
    example: list
    example_source: Path
    # Its link of the chain; None: it has none.
    link: list | None


LANGUAGES = {
    "python": Language(
        [PYTHON, CLIENTS / "python/suite.py"],
        [PYTHON, CLIENTS / "python/cross_environment.py"],
        CLIENTS / "python/cross_environment.py",
        [PYTHON, CLIENTS / "python/fill.py"],
    ),
    "go": Language(
        [CLIENTS / "go/bin/suite"],
        [CLIENTS / "go/bin/cross_environment"],
        CLIENTS / "go/cross_environment/main.go",
        [CLIENTS / "go/bin/read_mapped"],
    ),
    "node": Language(
        ["node", CLIENTS / "node/out/suite.js"],
        ["node", CLIENTS / "node/out/cross_environment.js"],
        CLIENTS / "node/src/cross_environment.ts",
        ["node", CLIENTS / "node/out/watch.js"],
    ),
    "java": Language(
        [*JAVA, "agb.clients.Suite"],
        [*JAVA, "agb.clients.CrossEnvironment"],
        CLIENTS / "java/src/main/java/agb/clients/CrossEnvironment.java",
        [*JAVA, "agb.clients.Delete"],
    ),
    "rust": Language(
        [TARGET / "debug/suite"],
        [TARGET / "debug/cross_environment"],
        CLIENTS / "rust/src/bin/cross_environment.rs",
        None,
    ),
}
