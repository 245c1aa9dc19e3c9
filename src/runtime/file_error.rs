//! Errors of files, with what was done and to which; the system's own number stays readable, as the
//! cure depends on it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
struct FileError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.what, self.path.display(), self.source)
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Adds what was done, and to which file, to an error; keeps its kind.
pub fn in_context(what: &'static str, path: &Path) -> impl Fn(io::Error) -> io::Error {
    let path = path.to_owned();
    move |source| io::Error::new(source.kind(), FileError { what, path: path.clone(), source })
}

/// The number that the operating system gave, under whatever was added since.
pub(crate) fn os_error(error: &io::Error) -> Option<i32> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<FileError>()) {
        Some(inner) => os_error(&inner.source),
        None => error.raw_os_error(),
    }
}

/// The system's number of an error; that of an input/output error where it has none.
pub fn error_number(error: &io::Error) -> i32 {
    os_error(error).unwrap_or(libc::EIO)
}

/// Whether there were no file descriptors left, of the process or of the host.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(os_error(error), Some(libc::EMFILE | libc::ENFILE))
}

/// Whether there was no space on the disk, or none within a quota.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether the device, or the filesystem on it, does not give what it was given: a block that can't
/// be read, or whose checksum does not hold.
pub fn is_of_device(error: &io::Error) -> bool {
    matches!(
        os_error(error),
        Some(
            libc::EIO
                | libc::ENODATA
                | libc::EILSEQ
                | libc::EREMOTEIO
                | libc::EUCLEAN
                | libc::EBADMSG
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_number_is_read_under_everything_that_was_added() {
        let error = io::Error::from_raw_os_error(libc::EMFILE);
        let error =
            in_context("make ready", Path::new("/b"))(in_context("open", Path::new("/a"))(error));
        assert!(is_out_of_descriptors(&error) && !is_out_of_space(&error));
        assert!(error.to_string().starts_with("cannot make ready /b: cannot open /a: "), "{error}");
        assert!(is_out_of_space(&in_context("write", Path::new("x"))(
            io::Error::from_raw_os_error(libc::ENOSPC)
        )));
    }

    #[test]
    fn what_the_device_does_not_give_is_told_from_what_the_process_lacks() {
        let opened =
            |errno| in_context("open", Path::new("/a"))(io::Error::from_raw_os_error(errno));
        for errno in [libc::EIO, libc::ENODATA, libc::EUCLEAN, libc::EBADMSG] {
            assert!(is_of_device(&opened(errno)), "{errno}");
        }
        for errno in [libc::EMFILE, libc::ENOMEM, libc::EACCES, libc::ENOENT, libc::EROFS] {
            assert!(!is_of_device(&opened(errno)), "{errno}");
        }
    }
}
