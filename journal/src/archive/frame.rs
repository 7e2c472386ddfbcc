//! What the files of the archive have in common: a header that says how long it is and ends with
//! its hash, the same header once more at the beginning of a footer, and an end that says how
//! long the footer is.
//!
//! Proves bytes; what a header says is its file's.

use std::fs::File;
use std::io;

use backstitch_core::ids::Digest;

use crate::archive::unpack::read_some;
use crate::bytes::{Fields, Malformed, length_u32};

/// The last bytes of a file: they say where its footer begins.
const END_BYTES: usize = 12;
/// The first bytes of a header: enough to know how long it is.
const HEADER_BEGIN_BYTES: usize = 14;
const HASH_BYTES: usize = 32;
const END_MAGIC: [u8; 8] = *b"\xFFbsare\xFE\n";

/// A kind of file.
pub(crate) struct Kind {
    pub magic: [u8; 8],
    /// The one that this code writes and reads.
    pub format: u16,
    /// The longest header that is read.
    pub header_bytes_max: usize,
    /// The longest footer that is read.
    pub footer_bytes_max: usize,
    /// For messages.
    pub name: &'static str,
}

type Read = io::Result<Result<Vec<u8>, Malformed>>;

impl Kind {
    /// The beginning of a header; [`seal_header`] ends it.
    pub(crate) fn begin_header(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.format.to_le_bytes());
        bytes.extend([0; 4]);
        bytes
    }

    /// How long the header is that begins so.
    fn header_bytes(&self, begin: &[u8]) -> Result<usize, Malformed> {
        let mut fields = Fields::of(begin);
        if fields.array()? != self.magic {
            return Err(self.malformed("does not begin like one"));
        }
        let format = fields.u16()?;
        if format != self.format {
            return Err(self.malformed(&format!("has format {format}, which is not known here")));
        }
        let length = fields.u32()? as usize;
        match (HEADER_BEGIN_BYTES..=self.header_bytes_max).contains(&length) {
            true => Ok(length),
            false => Err(self.malformed("has a header of no such length")),
        }
    }

    /// The fields of the header that some bytes begin with, proven by its hash.
    pub(crate) fn header_fields<'a>(&self, bytes: &'a [u8]) -> Result<Fields<'a>, Malformed> {
        let whole = bytes.get(..self.header_bytes(bytes)?);
        let covered = whole
            .and_then(proven)
            .ok_or_else(|| self.malformed("has a header whose hash does not match"))?;
        let mut fields = Fields::of(covered);
        fields.take(HEADER_BEGIN_BYTES)?;
        Ok(fields)
    }

    /// The fields of a footer behind its header, proven by the footer's hash.
    pub(crate) fn footer_fields<'a>(&self, bytes: &'a [u8]) -> Result<Fields<'a>, Malformed> {
        let covered = proven(bytes)
            .ok_or_else(|| self.malformed("has a footer whose hash does not match"))?;
        let mut fields = Fields::of(covered);
        fields.take(self.header_bytes(covered)?)?;
        Ok(fields)
    }

    /// Reads the bytes of a file's header.
    pub(crate) fn read_header(&self, file: &File, length: u64) -> Read {
        match self.header_bytes(&read_some(file, 0, HEADER_BEGIN_BYTES)?) {
            Ok(bytes) if bytes as u64 <= length => read_some(file, 0, bytes).map(Ok),
            Ok(_) => Ok(Err(self.malformed("is shorter than its header"))),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Reads the bytes of a file's footer.
    pub(crate) fn read_footer(&self, file: &File, length: u64) -> Read {
        let too_short = || Ok(Err(self.malformed("is shorter than its footer")));
        let Some(end_at) = length.checked_sub(END_BYTES as u64) else { return too_short() };
        let end = read_some(file, end_at, END_BYTES)?;
        let (bytes, magic) = end.split_at_checked(4).unwrap_or_default();
        if *magic != END_MAGIC {
            return Ok(Err(self.malformed("does not end like one")));
        }
        let bytes = Fields::of(bytes).u32().map_or(usize::MAX, |bytes| bytes as usize);
        match end_at.checked_sub(bytes as u64).filter(|_| bytes <= self.footer_bytes_max) {
            Some(at) => read_some(file, at, bytes).map(Ok),
            None => too_short(),
        }
    }

    fn malformed(&self, what: &str) -> Malformed {
        Malformed(format!("the {} {what}", self.name))
    }
}

/// What a hash at the end of some bytes covers, if it is theirs.
fn proven(bytes: &[u8]) -> Option<&[u8]> {
    let (covered, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
    (Digest::of(covered).0 == *hash).then_some(covered)
}

/// Ends a header: with its length in its beginning, and its hash.
pub(crate) fn seal_header(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = length_u32(bytes.len() + HASH_BYTES);
    bytes[HEADER_BEGIN_BYTES - 4..HEADER_BEGIN_BYTES].copy_from_slice(&length.to_le_bytes());
    bytes.extend(Digest::of(&bytes).0);
    bytes
}

/// Ends a footer, and with it the file.
pub(crate) fn seal_footer(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(Digest::of(&bytes).0);
    let length = length_u32(bytes.len());
    bytes.extend(length.to_le_bytes());
    bytes.extend(END_MAGIC);
    bytes
}
