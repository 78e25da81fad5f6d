//! `[policies] observe`: a policy that looks on.

use super::*;

#[test]
fn a_policy_in_shadow_is_the_ot_halfs_alone_and_names_something() {
    assert!(ot(OT).unwrap().0.observed_paths.is_empty());
    let with =
        |text: &str, line: &str| text.replacen("[policies]\n", &format!("[policies]\n{line}\n"), 1);
    let (config, _) = ot(&with(OT, "observe = [\"next\", \"/etc/a.toml\"]")).unwrap();
    let paths = ["/etc/sparkdiode/next", "/etc/a.toml"].map(PathBuf::from);
    assert_eq!(config.observed_paths, paths);
    let plain = "neither encrypted nor authenticated";
    let nothing = ot(&with(OT, "observe = []")).unwrap_err();
    assert_all(&nothing, &[plain, "`observe` names no policy"]);
    let wrong = ot(&with(OT, "observe = \"next\"")).unwrap_err();
    assert_all(&wrong, &[plain, "wrong type of `policies.observe`"]);
    let of_other = it(&with(IT, "observe = [\"next\"]")).unwrap_err();
    assert_all(&of_other, &[plain, "`observe` belongs into `ot.toml`"]);
}
