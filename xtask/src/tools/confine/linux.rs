//! Landlock and seccomp. Both restrict a thread and what it starts, for good, so every process is
//! started from a thread of its own that ends right after.
//!
//! Landlock allows hierarchies of files and refuses the rest. Of `/proc` a few files about the
//! machine can be read and nothing of processes, one's own included: a rule cannot tell those
//! apart, since `/proc/self` is that of whoever makes the rule. Dagster does without: all that is
//! refused to it is `/proc/self/fd`, where Python looks for what to close and has another way. TCP
//! is restricted by port, not by address; so a process may reach the ports that this run's servers
//! have, wherever, and no other. Seccomp refuses every other kind of socket that leads out of this
//! machine, and what would get round both.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr as _, RulesetStatus, Scope, make_bitflags,
    path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::access::{Access, Area, Enforced};

/// What rights are asked for; an older kernel has some of them. Tested with 7.
const NEWEST: ABI = ABI::V9;

/// Programs, libraries and what they ask of a machine.
const SYSTEM: [&str; 22] = [
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/run/current-system",
    "/sbin",
    "/usr",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/crypto",
    "/proc/sys/kernel",
    "/proc/sys/net",
    "/proc/sys/vm",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system/cpu",
    "/sys/kernel/mm/transparent_hugepage",
];

/// Of `/etc`, which holds secrets, too. `python3.12` and the like come with it.
const CONFIGURATION: [&str; 27] = [
    "alternatives",
    "ca-certificates",
    "fonts",
    "gai.conf",
    "group",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "locale.alias",
    "locale.conf",
    "localtime",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "pki",
    "profile",
    "protocols",
    "resolv.conf",
    "services",
    "ssl",
    "static",
    "timezone",
];

/// To write, too. POSIX semaphores, which Python's `multiprocessing` has, are files of `/dev/shm`.
const DEVICES: [&str; 6] =
    ["/dev/full", "/dev/null", "/dev/random", "/dev/shm", "/dev/urandom", "/dev/zero"];

/// A command for [`spawn`].
pub fn command(program: &Path, _: &Access) -> Command {
    Command::new(program)
}

/// Starts a command that reaches no more than it may.
///
/// # Errors
/// When it does not start, and when a restriction that the system has cannot be made.
pub fn spawn(command: &mut Command, access: &Access) -> Result<Child> {
    on_thread(|| {
        restrict(access)?;
        Ok(command.spawn()?)
    })
}

/// What this system enforces.
///
/// # Errors
/// When a restriction that the system has cannot be made.
pub fn enforced() -> Result<&'static Enforced> {
    static ENFORCED: OnceLock<Enforced> = OnceLock::new();
    if let Some(enforced) = ENFORCED.get() {
        return Ok(enforced);
    }
    let found = on_thread(|| restrict(&Access::default()))?;
    Ok(ENFORCED.get_or_init(|| found))
}

fn on_thread<T: Send>(run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| match scope.spawn(run).join() {
        Ok(result) => result,
        Err(_) => anyhow::bail!("the thread that starts a process panicked"),
    })
}

/// Restricts this thread and what it starts.
fn restrict(access: &Access) -> Result<Enforced> {
    let mut enforced = landlock(access).context("failed to restrict a process by Landlock")?;
    if seccomp()? {
        enforced.by.push("seccomp".to_owned());
        enforced.areas.insert(Area::OtherSockets);
    }
    Ok(enforced)
}

fn landlock(access: &Access) -> Result<Enforced> {
    let all = AccessFs::from_all(NEWEST);
    let ruleset = Ruleset::default()
        // The first version refuses every move to another directory: nothing is asked of it.
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let devices = make_bitflags!(AccessFs::{
        ReadFile | WriteFile | Truncate | IoctlDev | ReadDir | MakeReg | RemoveFile | Refer
    });
    let ports = access.ports.iter().map(|&port| Ok(NetPort::new(port, tcp())));
    let status = ruleset
        .add_rules(path_beneath_rules(system(), AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(DEVICES, devices))?
        .add_rules(path_beneath_rules(&access.read, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(&access.write, all))?
        // Any port that the kernel chooses.
        .add_rule(NetPort::new(0, AccessNet::BindTcp))?
        .add_rules(ports.collect::<Vec<Result<_, landlock::RulesetError>>>())?
        .restrict_self()?;
    Ok(enforced_by(match status.landlock {
        LandlockStatus::Available { effective_abi, .. }
            if status.ruleset != RulesetStatus::NotEnforced =>
        {
            effective_abi
        }
        _ => ABI::Unsupported,
    }))
}

/// What a version of Landlock refuses.
fn enforced_by(version: ABI) -> Enforced {
    let since = [
        (ABI::V2, Area::Files),
        (ABI::V2, Area::Processes),
        (ABI::V3, Area::Truncation),
        (ABI::V4, Area::Tcp),
        (ABI::V6, Area::Signals),
        (ABI::V6, Area::AbstractSockets),
        (ABI::V9, Area::FileSockets),
    ];
    let areas = since.into_iter().filter(|(since, _)| version >= *since).map(|(_, area)| area);
    let by = (version > ABI::Unsupported).then(|| format!("Landlock {version}"));
    Enforced { by: by.into_iter().collect(), areas: areas.collect() }
}

fn tcp() -> BitFlags<AccessNet> {
    AccessNet::BindTcp | AccessNet::ConnectTcp
}

/// What every program may read and run.
fn system() -> Vec<PathBuf> {
    let etc = Path::new("/etc");
    let is_python = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"))
    };
    let pythons = std::fs::read_dir(etc).into_iter().flatten();
    SYSTEM
        .into_iter()
        .map(PathBuf::from)
        .chain(CONFIGURATION.into_iter().map(|name| etc.join(name)))
        .chain(pythons.filter_map(|entry| Some(entry.ok()?.path())).filter(is_python))
        .collect()
}

/// Refuses system calls to this thread and what it starts. Not where the kernel has no seccomp.
fn seccomp() -> Result<bool> {
    let filter = filter().context("failed to make a filter for system calls")?;
    match seccompiler::apply_filter(&filter) {
        Ok(()) => Ok(true),
        Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error))
            if [libc::EINVAL, libc::ENOSYS].contains(&error.raw_os_error().unwrap_or_default()) =>
        {
            Ok(false)
        }
        Err(error) => Err(error).context("failed to restrict the system calls of a process"),
    }
}

/// `socket` for anything but TCP, files and the kernel's own tables; io_uring, which has a `socket`
/// of its own; the caller's keyrings.
fn filter() -> Result<BpfProgram> {
    let refused =
        [libc::SYS_io_uring_setup, libc::SYS_add_key, libc::SYS_keyctl, libc::SYS_request_key];
    let rules = refused.map(|call| (call, Vec::new()));
    let filter = SeccompFilter::new(
        rules.into_iter().chain([(libc::SYS_socket, sockets()?)]).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EACCES as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}

/// Any of these is refused: another family, a type of the internet's that is not TCP's, a protocol
/// of TCP's type that is not TCP, which Landlock lets through.
fn sockets() -> Result<Vec<SeccompRule>> {
    let is = |argument, operator, value: libc::c_int| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value as u64)
    };
    let not = |argument, values: &[libc::c_int]| {
        values.iter().map(|&value| is(argument, SeccompCmpOp::Ne, value)).collect::<Vec<_>>()
    };
    let families = [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_INET, libc::AF_INET6];
    let mut rules = vec![not(0, &families)];
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = || is(0, SeccompCmpOp::Eq, family);
        let of_type = SeccompCmpOp::MaskedEq(0xf); // beside it are SOCK_CLOEXEC and SOCK_NONBLOCK
        let others = (0..16).filter(|&kind| kind != libc::SOCK_STREAM);
        rules.extend(others.map(|kind| vec![family(), is(1, of_type.clone(), kind)]));
        rules.push(
            [vec![family()], not(2, &[0, libc::IPPROTO_TCP])].into_iter().flatten().collect(),
        );
    }
    let rule = |conditions: Vec<_>| {
        Ok(SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)?)
    };
    rules.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_kernels_refuse_less() {
        assert!(enforced_by(ABI::Unsupported).areas.is_empty());
        assert!(enforced_by(ABI::Unsupported).by.is_empty());
        let open = |version| {
            let enforced = enforced_by(version);
            let is_open = |area: &Area| !enforced.areas.contains(area);
            Area::ALL.into_iter().filter(is_open).map(Area::words).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(
            open(ABI::V3),
            "signals to other processes, TCP to foreign ports, UDP and other sockets of a \
             network, abstract sockets, sockets in the file system, size and mode of files whose \
             names are known"
        );
        assert_eq!(
            open(ABI::V7),
            "UDP and other sockets of a network, sockets in the file system, size and mode of \
             files whose names are known"
        );
    }
}
