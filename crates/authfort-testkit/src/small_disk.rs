//! A file system that can be filled up, and a limit on files that makes writes fail.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

const VARIABLE: &str = "AUTHFORT_TEST_SMALL_DISK";

/// A file system of its own, of a given size, that only the test sees which asked for it.
///
/// The test is run again in a child process that has a mount namespace of its own, with a tmpfs mounted there.
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
    /// Runs the test of this name (as `cargo test -- --list` shows it) again, on a disk of so many KiB. `None` in the
    /// parent, once the child has passed.
    ///
    /// # Panics
    /// When the child does not pass, and when this machine allows no mount namespace: Linux with util-linux is needed,
    /// and root or user namespaces.
    pub fn of(test: &str, kib: u32) -> Option<Self> {
        if let Some(path) = env::var_os(VARIABLE) {
            return Some(Self(path.into()));
        }
        let directory = env::temp_dir().join(format!("authfort_disk_{}_{kib}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory to mount on");
        // SIGXFSZ would end the process where it reaches `limit_files`; ignored, the write fails with EFBIG.
        let script = r#"trap '' XFSZ && mount -t tmpfs -o "size=$1k" tmpfs "$2" && shift 2 && exec "$@""#;
        // Who is not root becomes root of a user namespace, as far as mounting goes.
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

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Fills it up to the last byte.
    ///
    /// # Panics
    /// When the ballast cannot be made.
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

    /// Lets nobody write any more, or again. No file on it may be open for writing; one that is being closed, as by the
    /// thread of a connection, is waited for.
    ///
    /// # Panics
    /// When a file stays open for ten seconds, and when `mount` of util-linux is missing.
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

    /// Makes every write of this process past so many bytes of a file an I/O error; `None` lifts it.
    ///
    /// # Panics
    /// When `prlimit` of util-linux is missing.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let soft = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let status = Command::new("prlimit")
            .args([format!("--pid={}", std::process::id()), format!("--fsize={soft}:")])
            .status()
            .expect("`prlimit` of util-linux; on Debian or Ubuntu: apt-get install util-linux");
        assert!(status.success());
    }
}

/// What fills a [`SmallDisk`].
#[derive(Debug)]
pub struct Ballast(PathBuf);

impl Ballast {
    /// Makes room again.
    ///
    /// # Panics
    /// When it cannot be removed.
    pub fn remove(self) {
        fs::remove_file(self.0).expect("the ballast can be removed");
    }
}
