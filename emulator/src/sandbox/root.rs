//! The file system that a command sees: the host's programs, read-only, and the session's own folders.
//!
//! Everything is reached from the session's folder, which is the working directory: the folders above it are
//! closed to the unprivileged user. See [`crate::world`] for what lies in it.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, umount2};
use nix::unistd::{chdir, pivot_root};

use super::mount;
use super::outer::during;

/// The mount point of the new root, below the session's folder.
const ROOT: &str = "root";
/// The host's programs and libraries: bound where they are folders, copied where they are links into `/usr`.
const PROGRAM_FOLDERS: [&str; 6] = ["usr", "bin", "sbin", "lib", "lib32", "lib64"];
/// What programs need of the host's `/etc`; nothing in it is secret.
const ETC_ENTRIES: [&str; 14] = [
    "R",
    "alternatives",
    "chromium",
    "chromium.d",
    "fonts",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "java-25-openjdk",
    "ld.so.cache",
    "localtime",
    "mime.types",
    "ssl/certs",
    "ssl/openssl.cnf",
];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];
const ETC_FILES: [(&str, &str); 4] = [
    (
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\nagb:x:1000:1000:agb:/home/agb:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    ("group", "root:x:0:\nagb:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
    ),
];

/// Builds the root and makes it the only one.
pub(super) fn enter() -> Result<(), String> {
    mount::make_private().map_err(during("making the mounts private"))?;
    mount::tmpfs(Path::new(ROOT), "size=1m,nr_inodes=1k,mode=755")
        .map_err(during("mounting the root"))?;
    bind_programs().map_err(during("binding the system's programs"))?;
    fill_etc().map_err(during("filling /etc"))?;
    fill_dev().map_err(during("filling /dev"))?;
    bind_session_folders().map_err(during("binding the session's folders"))?;
    chdir(ROOT).map_err(during("entering the root"))?;
    fs::create_dir("proc").map_err(during("making /proc"))?;
    mount::proc(Path::new("proc"))
        .map_err(during("mounting /proc (a container may have to unmask it)"))?;
    pivot_root(".", ".").map_err(during("changing the root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(during("leaving the old root"))?;
    chdir("/").map_err(during("entering the new root"))?;
    // The root alone: its own mounts have their own flags.
    nix::mount::mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REMOUNT
            | MsFlags::MS_BIND
            | MsFlags::MS_RDONLY
            | MsFlags::MS_NOSUID
            | MsFlags::MS_NODEV,
        None::<&str>,
    )
    .map_err(during("closing the root"))
}

fn bind_programs() -> io::Result<()> {
    for name in PROGRAM_FOLDERS {
        let source = Path::new("/").join(name);
        let target = Path::new(ROOT).join(name);
        match fs::symlink_metadata(&source) {
            Ok(entry) if entry.is_symlink() => symlink(fs::read_link(&source)?, &target)?,
            Ok(entry) if entry.is_dir() => {
                fs::create_dir(&target)?;
                bind_read_only(&source, &target)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn fill_etc() -> io::Result<()> {
    let etc = Path::new(ROOT).join("etc");
    fs::create_dir_all(etc.join("ssl"))?;
    for (name, content) in ETC_FILES {
        fs::write(etc.join(name), content)?;
    }
    for name in ETC_ENTRIES {
        let source = Path::new("/etc").join(name);
        let target = etc.join(name);
        match fs::symlink_metadata(&source) {
            Ok(entry) if entry.is_symlink() => symlink(fs::read_link(&source)?, &target)?,
            Ok(entry) if entry.is_dir() => {
                fs::create_dir(&target)?;
                bind_read_only(&source, &target)?;
            }
            Ok(_) => {
                fs::File::create(&target)?;
                bind_read_only(&source, &target)?;
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn fill_dev() -> io::Result<()> {
    let dev = Path::new(ROOT).join("dev");
    fs::create_dir_all(dev.join("shm"))?;
    mount::tmpfs(&dev.join("shm"), "size=64m,nr_inodes=4k,mode=1777")?;
    for name in DEVICES {
        let source = Path::new("/dev").join(name);
        let target = dev.join(name);
        fs::File::create(&target)?;
        mount::bind(&source, &target)?;
    }
    for (target, name) in DEVICE_LINKS {
        symlink(target, dev.join(name))?;
    }
    Ok(())
}

fn bind_session_folders() -> io::Result<()> {
    for name in ["tmp", "home"] {
        let target = Path::new(ROOT).join(name);
        fs::create_dir(&target)?;
        mount::bind(&Path::new("files").join(name), &target)?;
        mount::restrict(&target, MsFlags::MS_NOSUID | MsFlags::MS_NODEV)?;
    }
    Ok(())
}

fn bind_read_only(source: &Path, target: &Path) -> io::Result<()> {
    mount::bind(source, target)?;
    mount::restrict(
        target,
        MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
    )
}
