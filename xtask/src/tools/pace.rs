//! How fast this machine is at the moment: a fixed piece of work, timed.
//!
//! The work is what a run of Dagster consists of, in the same proportion: computing, and small
//! writes that must reach the disk. (`dagster job execute` of 1.12.1: 4.4 s of CPU and 545 calls
//! of `fdatasync`.) It is our own and not a command of some tree: what is measured must be the
//! same for every tree and must not be able to lie. It runs in this process, so it gets of a busy
//! machine what a child of this program gets.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flate2::{Compress, Compression, FlushCompress};

/// What the work takes on the reference machine when nothing else runs there: two cores of an Intel
/// Xeon in a virtual machine, with a disk that takes 3 ms to sync. (Measured: 60 to 110 ms. `cargo
/// test pace -- --nocapture` prints what it takes elsewhere.)
const IDLE: Duration = Duration::from_millis(100);
const ROUNDS: usize = 12;
const BLOCK: usize = 160 << 10;
/// A measurement is not repeated within this time.
const FRESH: Duration = Duration::from_millis(500);

static LAST: Mutex<Option<(Instant, f64)>> = Mutex::new(None);

/// Measures how many times slower this machine is now than the reference machine; 1 where it is not
/// slower. Writes a file in a directory, and removes it.
pub fn measure(dir: &Path) -> f64 {
    // Held meanwhile: who else wants to know waits for the answer instead of adding to the load.
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, factor)) = *last
        && at.elapsed() < FRESH
    {
        return factor;
    }
    let start = Instant::now();
    work(dir);
    let factor = (start.elapsed().as_secs_f64() / IDLE.as_secs_f64()).max(1.0);
    *last = Some((Instant::now(), factor));
    factor
}

/// What the last measurement said; 1 before the first.
pub fn last() -> f64 {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).map_or(1.0, |(_, factor)| factor)
}

/// The machine in words: its load, where the system says that, and how slow it was found.
pub fn words() -> String {
    let cores = cores();
    let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
    let load = load().map_or_else(String::new, |load| format!("load {load} "));
    format!("{load}on {cores}, {:.1} times slower than an idle reference machine", last())
}

/// The cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// The load average of the last minute.
fn load() -> Option<String> {
    let text = if cfg!(target_os = "linux") {
        std::fs::read_to_string("/proc/loadavg").ok()?
    } else {
        let output = std::process::Command::new("/usr/sbin/sysctl")
            .args(["-n", "vm.loadavg"])
            .env_clear()
            .stdin(std::process::Stdio::null())
            .output()
            .ok()?;
        String::from_utf8(output.stdout).ok()?
    };
    // macOS: `{ 1.50 1.60 1.70 }`
    text.split_whitespace().find(|word| word.parse::<f64>().is_ok()).map(str::to_owned)
}

/// Compresses blocks of text that does not compress well, and has the disk take a little of each.
/// A disk that cannot be written to is left out: that is for others to report.
fn work(dir: &Path) {
    let mut file = tempfile::tempfile_in(dir).ok();
    let mut block = vec![0; BLOCK];
    let mut state = 1_u32;
    for byte in &mut block {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = b"abcdefgh ijklmno"[(state >> 28) as usize];
    }
    let mut out = Vec::with_capacity(BLOCK);
    for _ in 0..ROUNDS {
        out.clear();
        let mut compress = Compress::new(Compression::default(), false);
        let _ =
            compress.compress_vec(std::hint::black_box(&block), &mut out, FlushCompress::Finish);
        file = file.filter(|file| sync(file, &out).is_ok());
    }
}

fn sync(mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(&bytes[..bytes.len().min(4096)])?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_of_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        let times: Vec<_> = (0..5)
            .map(|_| {
                let start = Instant::now();
                work(dir.path());
                start.elapsed()
            })
            .collect();
        println!("the work took {times:?}");
        assert!(measure(dir.path()) >= 1.0);
        assert!(words().contains("core"), "{}", words());
        assert!(cfg!(not(target_os = "linux")) || words().starts_with("load "), "{}", words());
    }
}
