//! A terminal: a real pseudo-terminal, with what programs have drawn on it.
//!
//! What they write is read when somebody looks. So a program whose end is waited for is waited for
//! here: it may have to write before it ends.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize};
use vt100::Parser;

use crate::raw::PATIENCE;
use crate::waiting::PAUSE;

/// One end of a pseudo-terminal; the other one is what programs are started on. Dropped, it hangs
/// up on them, as a window does that is closed.
pub struct Terminal {
    user: File,
    program: OwnedFd,
    drawn: RefCell<Drawn>,
}

struct Drawn {
    parser: Parser,
    bytes: Vec<u8>,
}

fn winsize(lines: u16, columns: u16) -> Winsize {
    Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Terminal {
    /// One of so many lines and columns.
    ///
    /// # Panics
    /// The system has no more of them.
    pub fn open(lines: u16, columns: u16) -> Self {
        let user = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&user).unwrap();
        rustix::pty::unlockpt(&user).unwrap();
        rustix::io::ioctl_fionbio(&user, true).unwrap();
        rustix::io::fcntl_setfd(&user, FdFlags::CLOEXEC).unwrap();
        let name = rustix::pty::ptsname(&user, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let program = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        rustix::termios::tcsetwinsize(&program, winsize(lines, columns)).unwrap();
        let drawn = Drawn { parser: Parser::default(), bytes: Vec::new() };
        let terminal = Self { user: File::from(user), program, drawn: RefCell::new(drawn) };
        terminal.set_size(lines, columns);
        terminal
    }

    /// Makes it the terminal that a command is started from.
    ///
    /// # Panics
    /// The system has no more files.
    pub fn prepare(&self, command: &mut Command) {
        let end = || self.program.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color");
        // SAFETY: between fork and exec two system calls are made, on constants.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
    }

    /// Starts a command from it.
    ///
    /// # Panics
    /// It can't be started.
    pub fn start(&self, mut command: Command) -> Child {
        self.prepare(&mut command);
        command.spawn().unwrap()
    }

    /// Waits for the end of a program, reading what it still writes.
    ///
    /// # Panics
    /// It does not end.
    pub fn wait(&self, child: &mut Child) -> ExitStatus {
        let mut ended = None;
        self.until("the program ends", |_| {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        // What it wrote last.
        self.read();
        ended.unwrap()
    }

    /// Types these bytes.
    ///
    /// # Panics
    /// There is no room for them.
    pub fn press(&self, keys: &str) {
        (&self.user).write_all(keys.as_bytes()).unwrap();
    }

    /// Gives it another size, which its programs are told of.
    ///
    /// # Panics
    /// It has gone.
    pub fn resize(&self, lines: u16, columns: u16) {
        self.read();
        self.set_size(lines, columns);
        rustix::termios::tcsetwinsize(&self.user, winsize(lines, columns)).unwrap();
    }

    fn set_size(&self, lines: u16, columns: u16) {
        let [lines, columns] = [lines, columns].map(|size| NonZero::new(size).unwrap());
        self.drawn.borrow_mut().parser.screen_mut().set_size(lines, columns);
    }

    /// Takes what was written.
    fn read(&self) {
        let mut drawn = self.drawn.borrow_mut();
        let mut bytes = [0; 4096];
        // Until there is nothing more just now, or for ever.
        while let Ok(count @ 1..) = (&self.user).read(&mut bytes) {
            drawn.parser.process(&bytes[..count]);
            drawn.bytes.extend_from_slice(&bytes[..count]);
        }
    }

    /// Waits until what is drawn is so.
    ///
    /// # Panics
    /// It never is. What is drawn is told.
    pub fn until(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if is_so(&text) {
                return;
            }
            assert!(Instant::now() < until, "waited in vain: {what}\n{text}");
            std::thread::park_timeout(PAUSE);
        }
    }

    /// The lines that are seen.
    pub fn text(&self) -> String {
        self.read();
        self.drawn.borrow().parser.screen().contents()
    }

    /// Everything that was written to it.
    pub fn bytes(&self) -> Vec<u8> {
        self.read();
        self.drawn.borrow().bytes.clone()
    }

    /// Fills it with what nobody reads: until somebody does, whoever writes to it waits.
    ///
    /// # Panics
    /// It has gone.
    pub fn fill(&self) {
        let name = rustix::pty::ptsname(&self.user, Vec::new()).unwrap();
        let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut end = File::from(rustix::fs::open(name, flags, Mode::empty()).unwrap());
        for piece in [&[b'.'; 4096][..], b"."] {
            while end.write(piece).is_ok() {}
        }
    }

    /// Whether lines are edited and shown as they are typed. Reads nothing of what was written.
    ///
    /// # Panics
    /// It has gone.
    pub fn edits_lines(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.program).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Whether it is as a shell wants it: lines are edited and shown as they are typed, the cursor
    /// is seen, and what was there before a screen was drawn is there again.
    ///
    /// # Panics
    /// It has gone.
    pub fn is_as_before(&self) -> bool {
        self.read();
        let drawn = self.drawn.borrow();
        let screen = drawn.parser.screen();
        self.edits_lines() && !screen.alternate_screen() && !screen.hide_cursor()
    }
}
