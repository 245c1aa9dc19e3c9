//! Where an export is written: standard output, or a file that appears under its name when it is whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// What an export is written to.
pub(super) struct Destination {
    out: BufWriter<Box<dyn Write>>,
    file: Option<Partial>,
}

/// A file that is being written. What is dropped before it is whole is removed.
struct Partial {
    file: File,
    /// Where it is written, and where it will be; the same where that is no regular file.
    from: PathBuf,
    to: PathBuf,
}

impl Destination {
    /// Opens what the argument names; `-` is standard output.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self { out: BufWriter::new(Box::new(io::stdout())), file: None });
        }
        let failed = |error: io::Error| Failure::Usage(format!("--output: cannot write {}: {error}", path.display()));
        // A pipe or a device is written to; what is a file is replaced when the new one is whole.
        let special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let from = if special {
            path.to_owned()
        } else {
            let mut name = OsString::from(path);
            name.push(".partial");
            name.into()
        };
        let file = File::create(&from).map_err(failed)?;
        let out = file.try_clone().map_err(failed)?;
        let partial = Partial { file, from, to: path.to_owned() };
        Ok(Self { out: BufWriter::new(Box::new(out)), file: Some(partial) })
    }

    /// Whether it is not standard output.
    pub(super) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// Makes what was written whole.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        let Some(partial) = &mut self.file else { return Ok(()) };
        if partial.from != partial.to {
            partial.file.sync_all()?;
            fs::rename(&partial.from, &partial.to)?;
            partial.from.clone_from(&partial.to);
        }
        Ok(())
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.from != self.to {
            // There is nobody to tell; what is left says by its name that it is not whole.
            let _ = fs::remove_file(&self.from);
        }
    }
}
