//! `[relay] shard`.

use diagnostic::SourceFile;

use super::*;

fn read(shard: &str) -> Result<(OtConfig, Diagnostics), Diagnostics> {
    let text = format!(
        "name = \"n\"\n[broker]\naddress = \"b:1\"\nplaintext = true\n[policies]\npaths = [\"p\"]\n\
         [journal]\npath = \"/nowhere/journal\"\n[state]\npath = \"/nowhere/state\"\n[relay]\n{shard}\n"
    );
    OtConfig::check(SourceFile::new("/nowhere/ot.toml", text))
}

#[test]
fn a_shard_is_one_of_so_many_and_without_the_key_there_is_none() {
    assert_eq!(read("").unwrap().0.relay.shard, None);
    for (index, count) in [(1, 1), (2, 4), (256, 256)] {
        let (config, _) = read(&format!("shard = \"{index}/{count}\"")).unwrap();
        assert_eq!(config.relay.shard, Shard::new(index, count));
    }
}

#[test]
fn what_is_no_shard_is_refused_with_what_was_wanted() {
    for (shard, wanted) in [
        ("\"0/4\"", "wanted a number of 1 to N before the slash"),
        ("\"5/4\"", "wanted a number of 1 to N before the slash"),
        ("\"1/257\"", "wanted at most 256 relays"),
        ("\"2 of 4\"", "wanted `k/N`"),
        ("\"\"", "wanted `k/N`"),
        ("2", "shard"),
    ] {
        let problems = read(&format!("shard = {shard}")).unwrap_err().to_string();
        assert!(problems.contains(wanted) && problems.contains(":12:"), "{shard}: {problems}");
    }
    let problems = read("shards = \"1/4\"").unwrap_err().to_string();
    assert!(problems.contains("`shard`"), "{problems}");
}
