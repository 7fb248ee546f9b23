//! What the control groups of this process leave it of memory: in a container that is less than the machine
//! has.

use crate::memory::Supply;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where a hierarchy of control groups that limits memory is, and what its files are called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// The group of this process, at or below `top`.
    group: PathBuf,
    /// The topmost one that can be seen.
    top: PathBuf,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What each group that this process is in, and each above it, still has. One that sets no limit is left
/// out.
///
/// Where those are is looked up again only when it is in others: there may be thousands of mounts.
pub(crate) fn memory_supplies() -> Vec<Supply> {
    static FOUND: Mutex<(String, Vec<Hierarchy>)> = Mutex::new((String::new(), Vec::new()));
    let Ok(groups) = fs::read_to_string("/proc/self/cgroup") else {
        return Vec::new();
    };
    let found = || FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if found().0 != groups {
        let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else {
            return Vec::new();
        };
        let hierarchies = hierarchies(&groups, &mounts);
        *found() = (groups, hierarchies);
    }
    let hierarchies = found().1.clone();
    let mut supplies = Vec::new();
    for hierarchy in hierarchies {
        for group in hierarchy.group.ancestors() {
            supplies.extend(supply(group, hierarchy.version));
            if group == hierarchy.top {
                break;
            }
        }
    }
    supplies
}

/// Those that may limit memory, of which there is one, or two where a system uses both versions.
fn hierarchies(groups: &str, mounts: &str) -> Vec<Hierarchy> {
    let hierarchy = |line: &str| {
        // Its number, controllers and path: version 2 has number 0 and names none.
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match (number, controllers) {
            ("0", "") => Version::Two,
            _ if controllers.split(',').any(|name| name == "memory") => Version::One,
            _ => return None,
        };
        let (top, root) = mounts.lines().find_map(|mount| mounted(mount, version))?;
        // What lies outside of what is mounted, as in some containers, is not to be seen: then the
        // container's own is what is mounted.
        let below = Path::new(path).strip_prefix(root).ok();
        let below = below.filter(|below| !below.iter().any(|name| name == ".."));
        Some(Hierarchy {
            group: below.map_or_else(|| top.clone(), |below| top.join(below)),
            top,
            version,
        })
    };
    groups.lines().filter_map(hierarchy).collect()
}

/// Where a mount shows this version's hierarchy, and which group is its topmost.
fn mounted(line: &str, version: Version) -> Option<(PathBuf, &str)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, top) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let (name, options) = (kind.next()?, kind.nth(1)?);
    let matches = match version {
        Version::Two => name == "cgroup2",
        Version::One => name == "cgroup" && options.split(',').any(|option| option == "memory"),
    };
    matches.then(|| (PathBuf::from(top), root))
}

fn supply(group: &Path, version: Version) -> Option<Supply> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let (all, used, cache) = match version {
        // "max" is no number: no limit. Above the lower one the group is slowed down.
        Version::Two => (
            [number("memory.max"), number("memory.high")]
                .into_iter()
                .flatten()
                .min()?,
            number("memory.current")?,
            "inactive_file",
        ),
        Version::One => (
            number("memory.limit_in_bytes")?,
            number("memory.usage_in_bytes")?,
            "total_inactive_file",
        ),
    };
    // What was read from files and is not in use goes as soon as there is a use for its place.
    let cached = read("memory.stat").and_then(|facts| {
        let mut facts = facts.lines().filter_map(|fact| fact.split_once(' '));
        let (_, bytes) = facts.find(|(name, _)| *name == cache)?;
        bytes.parse::<u64>().ok()
    });
    let used = used.saturating_sub(cached.unwrap_or(0));
    Some(Supply {
        all,
        available: all.saturating_sub(used),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
31 22 0:27 /docker/1f /sys/fs/cgroup/memory ro,nosuid master:1 shared:9 - cgroup cgroup rw,memory
32 22 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
";

    fn group(groups: &str, mounts: &str) -> Vec<(String, String, Version)> {
        let shown = |path: PathBuf| path.to_str().unwrap().to_owned();
        let found = hierarchies(groups, mounts).into_iter();
        found
            .map(|found| (shown(found.group), shown(found.top), found.version))
            .collect()
    }

    #[test]
    fn the_group_is_found_below_what_is_mounted() {
        let found = |groups: &str| group(groups, MOUNTS);
        let one = "/sys/fs/cgroup/memory";
        let two = "/sys/fs/cgroup/unified";
        let both = "9:cpu,cpuacct:/c\n4:memory:/docker/1f/a b\n0::/user.slice/a:b\n";
        assert_eq!(
            found(both),
            [
                (format!("{one}/a b"), one.to_owned(), Version::One),
                (
                    format!("{two}/user.slice/a:b"),
                    two.to_owned(),
                    Version::Two
                ),
            ]
        );
        // From outside of what is mounted.
        for path in ["4:memory:/docker/2e", "4:memory:/", "4:memory:/docker/1f"] {
            assert_eq!(found(path)[0].0.trim_end_matches('/'), one, "{path}");
        }
        assert_eq!(found("0::/../other")[0].0, two);
        // Nothing limits memory, or nothing is to be seen of it.
        assert!(found("9:cpu,cpuacct:/c\n\nx\n").is_empty());
        assert!(group("0::/a\n", "").is_empty());
    }

    #[test]
    fn what_a_group_has_left_is_what_its_limits_leave() {
        let folder = std::env::temp_dir().join(format!("mpfork-cgroup-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("memory.max", "max\n");
        write("memory.high", "max\n");
        write("memory.current", "700\n");
        write("memory.stat", "anon 1\ninactive_file 100\nactive_file 9\n");
        let left = |version| {
            let supply = supply(&folder, version)?;
            Some((supply.all, supply.available))
        };
        assert_eq!(left(Version::Two), None);
        write("memory.max", "1000\n");
        assert_eq!(left(Version::Two), Some((1000, 400)));
        write("memory.high", "500\n");
        assert_eq!(left(Version::Two), Some((500, 0)));
        assert_eq!(left(Version::One), None);
        write("memory.limit_in_bytes", "1000\n");
        write("memory.usage_in_bytes", "300\n");
        assert_eq!(left(Version::One), Some((1000, 700)));
        write("memory.stat", "inactive_file 1\ntotal_inactive_file 50\n");
        assert_eq!(left(Version::One), Some((1000, 750)));
        fs::remove_dir_all(&folder).unwrap();
    }
}
