//! The lines of an export, one by one, none of them longer than one may be.

use std::io::{self, BufRead, Read};

use backstitch_core::export::LINE_BYTES_MAX;

/// Reads the next line; answers how many bytes it has, 0 at the end.
///
/// # Errors
/// If the system refuses to read.
pub(super) fn next_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    // One byte more than a line may have, so that the importer refuses a longer one.
    Read::take(from, LINE_BYTES_MAX as u64 + 2).read_until(b'\n', line)
}
