//! What may be reached, and what can be refused.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a process and all that it starts may reach, beside what every program needs of a system.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Directories and files to read and run; what is not there is passed over.
    pub read: Vec<PathBuf>,
    /// The same to write, too.
    pub write: Vec<PathBuf>,
    /// TCP ports to listen on and to connect to.
    pub ports: Vec<u16>,
}

/// Something that can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    Files,
    /// Emptying a file whose name is known.
    Truncation,
    Processes,
    Signals,
    Tcp,
    /// Sockets of a network that are not TCP's.
    OtherSockets,
    AbstractSockets,
    FileSockets,
    /// Of a file whose name is known.
    Metadata,
}

impl Area {
    pub const ALL: [Self; 9] = [
        Self::Files,
        Self::Truncation,
        Self::Processes,
        Self::Signals,
        Self::Tcp,
        Self::OtherSockets,
        Self::AbstractSockets,
        Self::FileSockets,
        Self::Metadata,
    ];

    /// What is meant, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Files => "files of others",
            Self::Truncation => "emptying a file whose name is known",
            Self::Processes => "memory and environment of other processes",
            Self::Signals => "signals to other processes",
            Self::Tcp => "TCP to foreign ports",
            Self::OtherSockets => "UDP and other sockets of a network",
            Self::AbstractSockets => "abstract sockets",
            Self::FileSockets => "sockets in the file system",
            Self::Metadata => "size and mode of files whose names are known",
        }
    }
}

/// What this system refuses.
#[derive(Debug, Clone)]
pub struct Enforced {
    /// What does it, in words; nothing where there is nothing.
    pub by: Vec<String>,
    pub areas: BTreeSet<Area>,
}
