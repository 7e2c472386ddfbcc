//! The body of an import, laid down in the data directory until its last line has come.
//!
//! Every line is checked as it comes, and the hash of all with the last: nothing is taken of a
//! file that was changed or cut off. The file it is laid down in has no name, so that a crash
//! leaves none. Knows nothing of HTTP's bodies, nor what becomes of a run.

use std::fs::File as Std;
use std::io::{self, SeekFrom};
use std::path::Path;

use backstitch_core::export::{Importer, LINE_BYTES_MAX};
use backstitch_saga::Error;
use backstitch_saga::handle::Import;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncSeekExt, AsyncWriteExt, BufReader, BufWriter};

use super::codes;
use super::refusal::Refusal;

/// Why an import came to nothing, or to less than the whole file.
#[derive(Debug)]
pub(super) enum Broken {
    /// By the request, or for want of a place to lay it down.
    Here(Refusal),
    /// By what a line says, or by the engine.
    There(Error),
}

/// A file that is coming in.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<File>,
    importer: Importer,
    /// The beginning of a line whose end has not come.
    held: Vec<u8>,
    bytes: u64,
    bytes_max: u64,
}

/// A file that is whole.
#[derive(Debug)]
pub(super) struct Laid {
    file: BufReader<File>,
}

impl Spool {
    /// Makes the file, which may have so many bytes.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn begin(directory: &Path, bytes_max: u64) -> Result<Self, Broken> {
        let file: Std = tempfile::tempfile_in(directory).map_err(no_room)?;
        let file = BufWriter::new(File::from_std(file));
        Ok(Self { file, importer: Importer::default(), held: Vec::new(), bytes: 0, bytes_max })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// If a line that ends in them is wrong, they are too many, or cannot be written.
    pub(super) async fn take(&mut self, mut data: &[u8]) -> Result<(), Broken> {
        self.bytes += data.len() as u64;
        if self.bytes > self.bytes_max {
            let message = format!(
                "an import may have {} bytes; export fewer runs at a time, by the filters of the \
                 list",
                self.bytes_max
            );
            return Err(Broken::Here(Refusal::new(codes::PAYLOAD_TOO_LARGE, message)));
        }
        self.file.write_all(data).await.map_err(no_room)?;
        while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
            self.held.extend_from_slice(&data[..=end]);
            self.line()?;
            data = &data[end + 1..];
        }
        self.held.extend_from_slice(data);
        match self.held.len() > LINE_BYTES_MAX {
            // The importer refuses a line of this length, with its number.
            true => self.line(),
            false => Ok(()),
        }
    }

    /// Everything has come.
    ///
    /// # Errors
    /// If the last line is wrong or missing, or the file cannot be read again.
    pub(super) async fn end(mut self) -> Result<Laid, Broken> {
        if !self.held.is_empty() {
            self.line()?;
        }
        self.importer.finish().map_err(bad)?;
        self.file.flush().await.map_err(no_room)?;
        let mut file = self.file.into_inner();
        file.seek(SeekFrom::Start(0)).await.map_err(no_room)?;
        Ok(Laid { file: BufReader::new(file) })
    }

    fn line(&mut self) -> Result<(), Broken> {
        self.importer.take(&self.held).map_err(bad)?;
        self.held.clear();
        Ok(())
    }
}

impl Laid {
    /// Has every line taken in.
    ///
    /// # Errors
    /// As [`Import::line`]. What was taken before stays.
    pub(super) async fn each_line(mut self, import: &mut Import) -> Result<(), Broken> {
        let mut line = Vec::new();
        while self.file.read_until(b'\n', &mut line).await.map_err(no_room)? > 0 {
            import.line(&line).await.map_err(Broken::There)?;
            line.clear();
        }
        import.finish().map_err(Broken::There)
    }
}

fn bad(bad: backstitch_core::export::BadLine) -> Broken {
    Broken::There(Error::BadExport(bad))
}

fn no_room(error: io::Error) -> Broken {
    let message = format!("the import can't be laid down in the data directory: {error}");
    Broken::Here(Refusal::unavailable(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_too_large_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::begin(folder.path(), 1_000).expect("it can be made");
        spool.take(&[b' '; 600]).await.expect("it fits");
        let Err(Broken::Here(refusal)) = spool.take(&[b' '; 600]).await else {
            panic!("it does not fit");
        };
        assert_eq!(refusal.status(), axum::http::StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
