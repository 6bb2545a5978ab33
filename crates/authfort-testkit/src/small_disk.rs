//! A file system that can be filled up, and a file size limit that makes writes fail.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

const VARIABLE: &str = "AUTHFORT_TEST_SMALL_DISK";

/// A file system of a given size that only the test that created it can see.
///
/// The test is run again in a child process with its own mount namespace, in which a tmpfs is mounted.
///
/// ```no_run
/// // #[test]
/// fn a_full_disk_is_an_error() {
///     let Some(disk) = authfort_testkit::SmallDisk::of("files::a_full_disk_is_an_error", 1024) else { return };
///     let ballast = disk.fill();
///     assert!(std::fs::write(disk.path().join("one more"), "text").is_err());
///     ballast.remove();
/// }
/// ```
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Runs the test of this name (as `cargo test -- --list` shows it) again in a child process, on a disk of `kib`
    /// KiB. Returns `None` in the parent, after the child has passed.
    ///
    /// # Panics
    /// If the child fails, or if this machine allows no mount namespace, which requires Linux with util-linux, and root
    /// or user namespaces.
    pub fn of(test: &str, kib: u32) -> Option<Self> {
        if let Some(path) = env::var_os(VARIABLE) {
            return Some(Self(path.into()));
        }
        let directory = env::temp_dir().join(format!("authfort_disk_{}_{kib}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory to mount on");
        // By default SIGXFSZ ends a process that reaches `limit_files`. If it is ignored, the write fails with EFBIG.
        let script = r#"trap '' XFSZ && mount -t tmpfs -o "size=$1k" tmpfs "$2" && shift 2 && exec "$@""#;
        // A user other than root becomes root in a user namespace, which is enough to mount.
        let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let output = Command::new("unshare")
            .args(if root { &["--mount"][..] } else { &["--mount", "--map-root-user"] })
            .args(["sh", "-c", script, "sh", &kib.to_string()])
            .arg(&directory)
            .arg(env::current_exe().expect("the test binary"))
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(VARIABLE, &directory)
            .stdin(Stdio::null())
            .output()
            .expect("`unshare` of util-linux; on Debian or Ubuntu: apt-get install util-linux mount");
        let _ = fs::remove_dir(&directory);
        let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (utf8(&output.stdout), utf8(&output.stderr));
        assert!(
            output.status.success() && out.contains("1 passed"),
            "in a mount namespace (which needs root or user namespaces): {}\n{out}\n{err}",
            output.status
        );
        None
    }

    /// Returns the mount point.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Fills the disk to the last byte.
    ///
    /// # Panics
    /// If the ballast file cannot be created.
    pub fn fill(&self) -> Ballast {
        let path = self.0.join("ballast");
        let mut file = File::create(&path).expect("a file for the ballast");
        let mut size = 64 * 1024;
        while size > 0 {
            if file.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
        Ballast(path)
    }

    /// Makes the disk read-only, or writable again. No file on it may be open for writing; the call waits for one that
    /// is being closed, as by the thread of a connection.
    ///
    /// # Panics
    /// If a file stays open for ten seconds, or if `mount` of util-linux is missing.
    pub fn read_only(&self, on: bool) {
        let mount = || {
            Command::new("mount")
                .args(["-o", if on { "remount,ro" } else { "remount,rw" }])
                .arg(&self.0)
                .stderr(Stdio::null())
                .status()
                .expect("`mount` of util-linux; on Debian or Ubuntu: apt-get install mount")
        };
        let done = (0..1_000).any(|_| {
            let done = mount().success();
            if !done {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            done
        });
        assert!(done, "a file is open for writing");
    }

    /// Makes every write of this process beyond `bytes` bytes of a file fail with an I/O error; `None` removes the
    /// limit.
    ///
    /// # Panics
    /// If `prlimit` of util-linux is missing.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let soft = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let status = Command::new("prlimit")
            .args([format!("--pid={}", std::process::id()), format!("--fsize={soft}:")])
            .status()
            .expect("`prlimit` of util-linux; on Debian or Ubuntu: apt-get install util-linux");
        assert!(status.success());
    }
}

/// The file that fills a [`SmallDisk`].
#[derive(Debug)]
pub struct Ballast(PathBuf);

impl Ballast {
    /// Removes the file, which frees the space.
    ///
    /// # Panics
    /// If it cannot be removed.
    pub fn remove(self) {
        fs::remove_file(self.0).expect("the ballast can be removed");
    }
}
