//! Dependencies: versions stand in one place, each with one line of reason.

/// Lines of `[workspace.dependencies]` without a reason behind a `#`.
pub(super) fn check(manifest: &str) -> Vec<String> {
    section(manifest, "[workspace.dependencies]")
        .filter(|(_, line)| !line.contains("path = ") && !line.contains("# "))
        .map(|(number, line)| {
            let name = line.split(['=', ' ']).next().unwrap_or(line);
            format!("Cargo.toml:{number}: {name} has no reason; add `# why` behind it")
        })
        .collect()
}

/// Dependencies of a member that state a version of their own.
pub(super) fn check_member(place: &str, manifest: &str) -> Vec<String> {
    ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"]
        .iter()
        .flat_map(|heading| section(manifest, heading))
        .filter(|(_, line)| !line.contains("workspace = true"))
        .map(|(number, line)| format!("{place}:{number}: `{line}` must take its version from the workspace"))
        .collect()
}

/// The numbered lines below a heading, blank lines and comments aside.
fn section<'a>(manifest: &'a str, heading: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    manifest
        .lines()
        .enumerate()
        .skip_while(move |(_, line)| line.trim() != heading)
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['))
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let manifest = "[workspace.dependencies]\na = \"1\" # because\nb = \"2\"\n\n[other]\nc = \"3\"\n";
        assert_eq!(check(manifest), ["Cargo.toml:3: b has no reason; add `# why` behind it"]);
    }

    #[test]
    fn a_version_outside_of_the_workspace_is_found() {
        let manifest = "[dependencies]\na.workspace = true\nb = \"2\"\n";
        assert!(check_member("x/Cargo.toml", manifest).len() == 1);
    }
}
