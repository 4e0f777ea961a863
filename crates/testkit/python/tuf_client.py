"""An unmodified python-tuf client: refresh from the web directory at URL, and download one target.

tuf_client.py URL ROOT TARGET DIRECTORY

ROOT is the trusted root file. Prints one line: `downloaded PATH`, `absent`, or `refused ERROR: MESSAGE`.
Exit code 0, 3 or 1.
"""

import sys
from pathlib import Path

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater


def main(url: str, root: str, target: str, directory: str) -> int:
    metadata = Path(directory) / "metadata"
    targets = Path(directory) / "targets"
    metadata.mkdir(parents=True, exist_ok=True)
    targets.mkdir(exist_ok=True)
    try:
        updater = Updater(
            metadata_dir=str(metadata),
            metadata_base_url=f"{url}/metadata/",
            target_dir=str(targets),
            target_base_url=f"{url}/targets/",
            bootstrap=Path(root).read_bytes(),
        )
        updater.refresh()
        found = updater.get_targetinfo(target)
        if found is None:
            print("absent")
            return 3
        print("downloaded", updater.download_target(found))
        return 0
    except (RepositoryError, DownloadError) as error:
        print(f"refused {type(error).__name__}: {error}".replace("\n", " "))
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
