//! Diagnostics of signed policies.

use super::{Code, Example};

pub(super) const CODES: &[Code] = codes! {
    "S001" "the policy isn't signed": "`[policies.require-signature]` is there, and there is no signature file beside the policy." "Sign it (`sparkdiode policy sign`) and copy `policy.sig` last. If nobody should have to sign, the table has to go, which takes a restart." Console "
$ sparkdiode check ot.toml
error[S001]: the policy isn't signed: there is no `policies/policy.sig`
";
    "S002" "unusable signature file": "The file isn't one that `policy sign` writes, or a later version wrote it." "Sign the policy again with the version that runs on the relay, or an older one." Console "
$ sparkdiode policy verify --key alice.key.pub policies
error[S002]: unusable signature file: not a signature file: it begins with `[[rule]]`
";
    "S003" "a file that can't be signed": "The name of a policy file can't be in a signature file, such as one with a line break." "Give the file a plain name." Console r"
$ sparkdiode policy sign --key alice.key --version 7 policies
error[S003]: policy file with an unusual name: `line\n4.toml`
";
    "S004" "a bad signature": "A listed key is named, and the signature isn't that of this text: the signature file was changed after it was signed." "Find out who changed it. Sign again only what people have read." Console "
$ sparkdiode check ot.toml
error[S004]: bad signature of alice: the signature file was changed after it was signed
";
    "S005" "signed by nobody who is listed": "There are good signatures, but by keys that the configuration doesn't list." "Compare `keys` with the signers' `.pub` files. A key that nobody knows is an incident." Console "
$ sparkdiode check ot.toml
error[S005]: signed by none of the listed keys, but by: mallory
";
    "S006" "too few signatures": "Fewer of the listed keys have signed than `threshold` wants." "Have the others sign: `policy sign` adds a signature to the file that is there." Console "
$ sparkdiode check ot.toml
error[S006]: signed by 1 of the listed keys, 2 are required: alice
";
    "S007" "signed for another relay": "The signature names a relay, and this is another one." "Sign the policy for this relay, or without `--relay` for any." Console "
$ sparkdiode check ot.toml
error[S007]: signed for the relay `plant-b`, not for `plant-a`
";
    "S008" "the files aren't the signed ones": "A policy file was changed, added or removed after the policy was signed; the message names it." "If the change is meant, have it signed. If nobody knows of it, it is an incident: somebody could write here." Console "
$ sparkdiode check ot.toml
error[S008]: `line4.toml` was changed after it was signed
";
    "S009" "an older policy than one that was in force": "The version is below the highest that was in force here, or the same with other content: somebody would roll the policy back." "To go back on purpose, sign the earlier policy again with a higher version." Console "
$ sparkdiode check ot.toml
error[S009]: version 6 was signed before version 7, which was in force already
";
    "S010" "what was in force isn't known": "The file in the state directory that remembers the highest version (`policy/accepted.state`) is damaged or can't be read. Without it a policy could be rolled back, so nothing is loaded." "See that the signed policy isn't an older one, and then remove the file that the message names." Console "
$ sparkdiode check ot.toml
error[S010]: which version was in force isn't known: the record is damaged
 --> /var/lib/sparkdiode/ot/policy/accepted.state.damaged
";
};
