//! Writing an archive, file after file, in bounded memory.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::unpack::{Member, Unpacker};
use crate::path::RelativePath;

/// Fast rather than small: the archive stays on this machine.
const LEVEL: i64 = 1;
/// From this size on an entry is written in the format for large files, in bytes; less than 4 GiB, as it may not shrink.
const LARGE: u64 = 2 * 1024 * 1024 * 1024;

/// An archive that is being written.
pub(crate) struct Packer<'file> {
    writer: ZipWriter<BufWriter<&'file mut File>>,
    bytes: u64,
}

impl<'file> Packer<'file> {
    pub(crate) fn new(file: &'file mut File) -> Self {
        Self {
            writer: ZipWriter::new(BufWriter::new(file)),
            bytes: 0,
        }
    }

    /// Packs what `content` yields, about `size` bytes. Returns how many there were.
    pub(crate) fn add(
        &mut self,
        path: &RelativePath,
        mode: u32,
        size: u64,
        content: &mut impl Read,
    ) -> io::Result<u64> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(LEVEL))
            .unix_permissions(mode)
            .large_file(size >= LARGE);
        self.writer.start_file(path.as_str(), options)?;
        let copied = io::copy(content, &mut self.writer)?;
        self.bytes += copied;
        Ok(copied)
    }

    /// Takes a file over from another archive as it is.
    pub(crate) fn copy(&mut self, from: &mut Unpacker, member: &Member) -> io::Result<()> {
        self.writer.raw_copy_file(from.raw(member)?)?;
        self.bytes += member.size;
        Ok(())
    }

    /// Completes the archive. Returns how many bytes it holds, unpacked.
    pub(crate) fn finish(self) -> io::Result<u64> {
        self.writer.finish()?.flush()?;
        Ok(self.bytes)
    }
}
