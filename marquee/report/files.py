"""Answers as files for other tools: Parquet, Arrow (the IPC file format, also called Feather), or a workbook."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from marquee.errors import ConfigError
from marquee.report.formats import FileFormat

if TYPE_CHECKING:
    import pyarrow as pa


def to_file(form: FileFormat, table: "pa.Table", name: str, about: list[tuple[str, str]]) -> bytes:
    """Return a table as a file.

    Args:
        form: the format.
        table: the rows. In Parquet and Arrow, the metadata of its schema stay, such as the line of trust.
        name: name of the workbook's sheet.
        about: what a second sheet of the workbook says: (heading, text).
    """
    if form == "xlsx":
        from marquee.report.review.workbook import answer_workbook  # noqa: PLC0415 - import only the library in use

        return answer_workbook(name, table.column_names, table.to_pylist(), about)
    out = io.BytesIO()
    if form == "parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above

        pq.write_table(table, out)
    else:
        import pyarrow as pa  # noqa: PLC0415 - as above

        with pa.ipc.new_file(out, table.schema) as writer:
            writer.write_table(table)
    return out.getvalue()


def write_file(file: Path, data: bytes) -> None:
    """Write a file. ConfigError if it cannot be written."""
    try:
        file.write_bytes(data)
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}. Name a file in an existing, writable folder"
        raise ConfigError(message) from error
