"""What lies inside a folder, reached without following a link: a foreign run folder must not lead anywhere else.

The folder itself may be reached by a link, which its user made. Below it every name is looked up in the folder that
was opened before it (O_NOFOLLOW, dir_fd); where the system has no such calls, each name is looked at first.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Literal

_BINARY = getattr(os, "O_BINARY", 0)
_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0)
_NOT_WAITED_FOR = getattr(os, "O_NONBLOCK", 0)  # a named pipe would hold us up until somebody else opens it
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_HAS_DIR_FD = bool(_NOT_FOLLOWED) and {os.open, os.stat, os.unlink, os.rename, os.mkdir} <= os.supports_dir_fd


class LinkInside(OSError):
    """A name below the folder is a link, or leads out of it; nothing was opened, written or removed through it."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(
            errno.ELOOP, "is a link or leads outside, which is never followed inside a run folder", str(path)
        )

    def __reduce__(self) -> tuple[type[LinkInside], tuple[str]]:
        return LinkInside, (self.filename,)  # the process that makes row folders sends it to ours


@dataclass(frozen=True, slots=True)
class Inside:
    """The folder at *path*. Every method takes a path below it and raises LinkInside for one that leads elsewhere."""

    path: Path

    def reading(self, path: Path | str) -> BufferedReader:
        """A stream of the plain file at *path*. Raises OSError for anything else, a named pipe included."""
        return os.fdopen(self.descriptor(path, os.O_RDONLY), "rb")

    def read_bytes(self, path: Path | str) -> bytes:
        with self.reading(path) as stream:
            return stream.read()

    def read_text(self, path: Path | str) -> str:
        return self.read_bytes(path).decode("utf-8")

    def writing(self, path: Path | str, mode: Literal["wb", "ab", "a+b"] = "wb") -> BinaryIO:
        """A stream into the plain file at *path*; *mode* is wb, ab or a+b, and means what it means to `open`."""
        flags = (os.O_RDWR if "+" in mode else os.O_WRONLY) | (os.O_APPEND if "a" in mode else os.O_TRUNC)
        return os.fdopen(self.descriptor(path, os.O_CREAT | flags), mode)

    def descriptor(self, path: Path | str, flags: int, mode: int = 0o666) -> int:
        """An open descriptor of the plain file at *path*, the caller's to close."""
        flags |= _BINARY | _NOT_FOLLOWED | _NOT_WAITED_FOR
        with self._place(path) as (name, folder):
            try:
                descriptor = os.open(name, flags, mode, dir_fd=folder)
            except OSError as error:
                raise _as_link(error, name, folder, path) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is no plain file", str(path))
        return descriptor

    def write_whole(self, path: Path, content: bytes) -> None:
        """Put *content* at *path* so that a reader finds the old file or the new one, never a part."""
        part = path.with_name(path.name + ".part")
        self.unlink(part)
        with self.writing(part) as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        self.replace(part, path)
        self.sync(path.parent)

    def replace(self, source: Path | str, target: Path | str) -> None:
        """Rename *source*; it, or *target*, may be a link itself, which is renamed or replaced."""
        with self._place(source) as (old, old_folder), self._place(target) as (new, new_folder):
            os.replace(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)

    def unlink(self, path: Path | str) -> None:
        """Remove the file at *path*, or the link itself, if there is one."""
        with suppress(FileNotFoundError), self._place(path) as (name, folder):
            os.unlink(name, dir_fd=folder)

    def make(self, path: Path) -> bool:
        """Make sure that there is a folder at *path*, and one above it; say whether there was none.

        Raises FileNotFoundError if this folder itself is gone: what was moved away is not made anew.
        """
        try:
            with self._place(path) as (name, folder):
                os.mkdir(name, dir_fd=folder)
        except FileNotFoundError:
            if path.parent == self.path:
                raise
            self.make(path.parent)
            return self.make(path)
        except FileExistsError:
            if self.is_link(path):
                raise LinkInside(path) from None
            if not self.is_dir(path):
                raise NotADirectoryError(errno.ENOTDIR, "is no folder", str(path)) from None
            return False
        return True

    def rmdir(self, path: Path | str) -> None:
        with self._place(path) as (name, folder):
            os.rmdir(name, dir_fd=folder)

    def remove(self, path: Path) -> None:
        """Remove *path* and all that lies below it; of a link, the link."""
        if self.is_dir(path):
            for name in self.names(path):
                self.remove(path / name)
            self.rmdir(path)
        else:
            self.unlink(path)

    def names(self, path: Path | str) -> list[str]:
        """What lies right in the folder at *path*; nothing, if there is none."""
        try:
            with self._folder(path) as (place, descriptor):
                return os.listdir(place if descriptor is None else descriptor)
        except FileNotFoundError:
            return []

    def each_name(self, path: Path | str) -> Iterator[str]:
        """The same one by one, for a folder of any size."""
        with (
            suppress(FileNotFoundError),
            self._folder(path) as (place, descriptor),
            os.scandir(place if descriptor is None else descriptor) as entries,
        ):
            for entry in entries:
                yield entry.name

    def stat(self, path: Path | str) -> os.stat_result | None:
        """What *path* itself is, also if that is a link; None if nothing is there."""
        with suppress(FileNotFoundError, NotADirectoryError), self._place(path) as (name, folder):
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        return None

    def is_file(self, path: Path | str) -> bool:
        """Whether a plain file is at *path*; False for a link, and below one."""
        return self._is(stat.S_ISREG, path)

    def is_link(self, path: Path | str) -> bool:
        found = self.stat(path)
        return found is not None and _leads_on(found)

    def is_dir(self, path: Path | str) -> bool:
        return self._is(stat.S_ISDIR, path)

    def _is(self, kind: object, path: Path | str) -> bool:
        try:
            found = self.stat(path)
        except LinkInside:
            return False
        return found is not None and not _leads_on(found) and bool(kind(found.st_mode))  # type: ignore[operator]

    def sync(self, path: Path | str) -> None:
        """Return once the names in the folder at *path* are on disk. Windows has no such call and needs none."""
        if sys.platform == "win32":
            return
        with self._folder(path) as (_, descriptor):
            assert descriptor is not None
            os.fsync(descriptor)

    @contextmanager
    def _folder(self, path: Path | str) -> Iterator[tuple[str, int | None]]:
        """The folder at *path*, to be listed and synced: its name, or its descriptor where there is one."""
        names = self._names(path)
        if not _HAS_DIR_FD:
            _look_at_each(self.path, names)
            yield str(path), None
            return
        descriptor = _opened(self.path, names, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield str(path), descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _place(self, path: Path | str) -> Iterator[tuple[str, int | None]]:
        """What to call *path*: its name in the folder of the descriptor, or, without one, all of it."""
        *above, name = self._names(path)
        if not _HAS_DIR_FD:
            _look_at_each(self.path, above)
            yield str(path), None
            return
        descriptor = _opened(self.path, above, _FOLDER)
        try:
            yield name, descriptor
        finally:
            os.close(descriptor)

    def _names(self, path: Path | str) -> Sequence[str]:
        """The names on the way from the folder to *path*. What a state file says of names is not to be believed."""
        text = str(path)
        names = _plain_names(str(self.path), text)
        if names is None:
            try:
                names = Path(path).relative_to(self.path).parts
            except ValueError:
                raise LinkInside(path) from None
        if ".." in names or "\0" in text:
            raise LinkInside(path)
        return names


def _plain_names(root: str, text: str) -> Sequence[str] | None:
    """The names from *root* to *text* where both are written the plain way; None where pathlib has to say.

    Every row asks this several times, and pathlib takes as long over it as the system over the file itself.
    """
    if os.altsep is not None or not text.startswith(root + os.sep):
        return None
    names = text[len(root) + 1 :].split(os.sep)
    return None if "" in names or "." in names else names


def _opened(root: Path, names: Sequence[str], last_flags: int) -> int:
    """A descriptor of the folder that *names* lead to from *root*, the caller's to close."""
    descriptor = os.open(root, _FOLDER if names else last_flags)
    for index, name in enumerate(names):
        flags = (last_flags if index == len(names) - 1 else _FOLDER) | _NOT_FOLLOWED
        above = descriptor
        try:
            descriptor = os.open(name, flags, dir_fd=above)
        except OSError as error:
            raise _as_link(error, name, above, root.joinpath(*names[: index + 1])) from None
        finally:
            os.close(above)
    return descriptor


def _as_link(error: OSError, name: str, folder: int | None, path: Path | str) -> OSError:
    """*error*, or that the name is a link: systems have three numbers for that."""
    if isinstance(error, FileNotFoundError) and _NOT_FOLLOWED:
        return type(error)(error.errno, error.strerror, str(path))  # a link, even to nothing, is not said to be absent
    with suppress(OSError):
        if _leads_on(os.stat(name, dir_fd=folder, follow_symlinks=False)):
            return LinkInside(path)
    return type(error)(error.errno, error.strerror, str(path))


def _look_at_each(root: Path, names: Sequence[str]) -> None:
    """Raise LinkInside if one of *names* on the way down from *root* is a link; what is not there is none."""
    place = root
    for name in names:
        place = place / name
        with suppress(FileNotFoundError, NotADirectoryError):
            if _leads_on(os.lstat(place)):
                raise LinkInside(place)


def _leads_on(found: os.stat_result) -> bool:
    """Whether this is a symbolic link, or a junction of Windows."""
    reparse_point: int = getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0)
    return stat.S_ISLNK(found.st_mode) or bool(getattr(found, "st_file_attributes", 0) & reparse_point)
