//! The catalogue itself. An event is added here and nowhere else: its name in Rust, its MSGID, severity, half and limit,
//! its words and fields, and what to do; the doc comment is what it means. `sparkdiode events` makes `src/manual/events.md`.

use super::{Entry, FieldSpec, Halves, Limit, Severity};

events! {
    /// The half runs.
    Started = "STARTED" (Notice, All, Never) "at work" {
        version: "version of the relay", #[optional] policy: "digest of the policy in force; absent where an IT half has no copy of it", #[optional] shard: "of an OT half that shares the plant with others: which part of the edge nodes it has, such as 2/4",
    } "Nothing. Without a STOPPED or FAILED before it, the half was killed or lost power.";
    /// The half ended as it was asked to.
    Stopped = "STOPPED" (Notice, All, Never) "ended in good order" {} "Nothing, if somebody stopped it. On IT every mirrored node is dead until it runs again.";
    /// The half ended by an error. A service manager starts it again, unless the exit code is 77 or 78.
    Failed = "FAILED" (Critical, All, Never) "ended by an error" {
        exit: "exit code; 70 is our mistake, 74 the operating system's refusal, 77 no confinement, 78 configuration", error: "what went wrong",
    } "Read the error. If it comes back after each start, nothing crosses: act now.";
    /// Something in a configuration file or a policy is usable but odd.
    ConfigWarning = "CONFIG_WARNING" (Warning, All, PerKind) "odd configuration" {
        place: "file, line and column", problem: "what is odd",
    } "Run `sparkdiode check` on the file: it explains the place and says what helps.";
    /// The half has sealed itself, before its first connection.
    Sealed = "SEALED" (Notice, All, Never) "can reach nothing else from now on" {
        user: "number of the user that it runs as", group: "number of its group", level: "`full`, or `dialled`: the kernel's Landlock is too old to bound sockets, and a dialling process makes them",
        landlock: "Landlock's version on this kernel; 0: none", waived: "layers that the configuration gives up",
    } "Nothing. `sparkdiode sandbox show` says what a sealed half may still do.";
    /// The configuration gives up a layer of the sandbox.
    SandboxWaived = "SANDBOX_WAIVED" (Warning, All, Never) "sandbox layer waived by the configuration" {
        layer: "the layer, as `[sandbox] waive` names it",
    } "In a laboratory, nothing. In a plant, find out who wrote that line: one layer of isolation is missing.";
    /// Fewer files and sockets may be open at once than the configuration may need.
    DescriptorsFew = "DESCRIPTORS_FEW" (Warning, All, Never) "fewer files and sockets may be open than the configuration may need" {
        limit: "files and sockets that may be open", wanted: "what `max-nodes` may need",
    } "Raise the limit (systemd: `LimitNOFILE=`), or lower `max-nodes`.";
    /// A policy is in force, at the start or after SIGHUP.
    PolicyLoaded = "POLICY_LOADED" (Notice, Both, Never) "policy loaded" {
        policy: "digest of the policy, as `sparkdiode check` shows it", rules: "number of rules", #[optional] version: "version under which it was signed, where signatures are required",
        #[optional] signers: "keys that signed it, with their names",
    } "Compare the digest with that of the policy that was approved. A digest that nobody announced is an incident.";
    /// A policy was read on SIGHUP and has errors. The earlier one stays in force.
    PolicyRefused = "POLICY_REFUSED" (Error, Both, PerKind) "policy not reloaded; the earlier one stays in force" {
        error: "the first problems, with file, line and column",
    } "Correct the file (`sparkdiode check` shows every problem) and send SIGHUP again. A half that is restarted before that doesn't start.";
    /// A policy in shadow (`[policies] observe`) looks on, from the start or SIGHUP on. It decides nothing.
    ShadowLoaded = "SHADOW_LOADED" (Notice, Ot, Never) "policy in shadow loaded" {
        policy: "its digest, as `sparkdiode check` shows it", rules: "number of rules",
    } "Nothing. `sparkdiode policy hits` shows what it would decide otherwise than the policy in force.";
    /// The policy in shadow (`[policies] observe`) has errors: nothing is compared. The policy in force isn't concerned.
    ShadowRefused = "SHADOW_REFUSED" (Warning, Ot, PerKind) "policy in shadow refused; the one in force isn't concerned" {
        error: "the first problems, with file, line and column",
    } "Correct the file (`sparkdiode check` shows every problem) and send SIGHUP again.";
    /// A rule with a schedule (`not-before`, `not-after`, `weekly`) came into force or went out of it, by the clock of the OT half.
    PolicyWindow = "POLICY_WINDOW" (Notice, Ot, PerSource("rule")) "a rule's window opened or closed" {
        rule: "name of the rule", open: "true: the rule is in force from now on; false: it isn't any more", action: "what the rule does while it is in force: forward, deny or redact",
        #[optional] until: "when that may change again (UTC); absent where it stays so",
    } "Compare it with what was agreed, with a vendor say. A window that opens when nobody expects it is a wrong policy or a wrong clock.";
    /// SIGHUP, but this half has nothing to read again: no policy, no file of a TLS connection, and no `addresses-file`.
    ReloadIgnored = "RELOAD_IGNORED" (Info, It, PerKind) "nothing to reload: no policies, no TLS files and no file of addresses are configured here" {} "Nothing. To have every frame checked a second time, give `it.toml` a copy of the policy.";
    /// The session with the broker stands.
    BrokerUp = "BROKER_UP" (Notice, Both, PerKind) "connected" {
        broker: "address of the broker", #[optional] session_present: "whether the OT broker had kept the session, and with it what came meanwhile", #[optional] offers: "what the broker says that it takes, where that is less than MQTT 5 has, and what it asks for; on IT what it said to the session that began last", #[optional] lasted_s: "seconds since the line that told of the trouble which is over",
    } "Nothing. With session_present=false what was sent in the meantime is lost.";
    /// There is no session with the broker; the relay goes on trying. On IT: with no mirrored node.
    BrokerDown = "BROKER_DOWN" (Error, Both, PerKind) "not connected" {
        broker: "address of the broker", error: "why", #[optional] pause_ms: "milliseconds until the next attempt",
    } "Look at the broker and the way to it. On OT the broker keeps what it can; on IT the journal keeps everything until its retention.";
    /// The half goes from one server of its broker (`addresses`) to another. On IT all sessions do: each mirrored node dies at the one and is born at the other.
    ServerChanged = "SERVER_CHANGED" (Notice, Both, PerKind) "another server of the broker is used" {
        broker: "address of the server that is used from now on", before: "address of the one that was used until now", why: "why",
    } "Look at the server that was left. If the half goes from one to another again and again, look at both.";
    /// There is no TLS with the broker: a certificate is expired, not trusted, or of another name, something else speaks at that port, or there is no common version, cipher or curve.
    TlsRefused = "TLS_REFUSED" (Error, Both, PerKind) "not connected: no TLS" {
        broker: "address of the broker", error: "what is wrong, with which certificate or port", #[optional] pause_ms: "milliseconds until the next attempt",
    } "Mend what the error names. If nothing was changed, somebody may stand between the relay and its broker: look before you trust anything new.";
    /// The broker refuses a session (CONNACK): protocol version, client identifier or keep alive, user, password, or an access list.
    LoginRefused = "LOGIN_REFUSED" (Error, Both, PerSource("client_id")) "not connected: the broker refuses us" {
        broker: "address of the broker", error: "the broker's answer, in words", client_id: "client identifier of the session that it refuses",
        #[optional] node: "on IT: group/edge node whose session it is", #[optional] pause_ms: "milliseconds until the next attempt",
    } "Compare user, password file and access list with those of the broker. Identifier rejected (CONNACK 2): allow the identifier there or set `client-id-form = \"short\"`, and see that `keep-alive-s` isn't more than the broker's longest keep alive, for which some give the same answer.";
    /// The broker is there and asks to come back later: overloaded, still starting, a standby, or out of sessions (CONNACK 3 and its like). It isn't our login that it refuses.
    BrokerDownForNow = "BROKER_DOWN_FOR_NOW" (Error, Both, PerKind) "not connected: the broker asks to try later" {
        broker: "address of the broker", error: "the broker's answer, in words", client_id: "client identifier of the session",
        #[optional] node: "on IT: group/edge node whose session it is", #[optional] pause_ms: "milliseconds until the next attempt",
    } "Nothing, if it goes away. If it stays, look at the broker's load and its limit of connections, and whether `address` is that of a standby.";
    /// The broker took the client identifier only in its short form, so the relay goes on with that (`client-id-form = "auto"`).
    ClientIdShort = "CLIENT_ID_SHORT" (Notice, Both, PerKind) "the broker doesn't take readable client identifiers; short ones from now on" {
        broker: "address of the broker", client_id: "the identifier from now on",
    } "Nothing. With `client-id-form = \"short\"` a start doesn't have to find it out.";
    /// The broker ended sessions that stood and took the next ones at once, again and again: so it treats a client whose identifier another client uses as well.
    SessionTakenOver = "SESSION_TAKEN_OVER" (Warning, Both, PerSource("client_id")) "sessions are ended and taken again at once, as when another client uses the same client identifier" {
        broker: "address of the broker", client_id: "the client identifier", times: "how often within ten minutes", #[optional] node: "on IT: group/edge node whose session it is",
    } "Look in the broker's log which clients connect with this identifier: a second relay, or a copy of this one. Each relay needs a `client-id` (OT) and a `client-id-prefix` (IT) of its own.";
    /// The broker refused a subscription, or ends the connection at it.
    SubscriptionRefused = "SUBSCRIPTION_REFUSED" (Error, Both, PerKind) "the broker refused a subscription" {
        broker: "address of the broker", #[optional] filters: "what was asked for", #[optional] error: "how it refused, if not by a plain answer",
        #[optional] pause_ms: "milliseconds until the next attempt, where the connection was ended",
    } "Correct the broker's access list. On OT some of what the policy allows can't come; it is asked for again by itself, and at once on SIGHUP. On IT rebirth requests can't be answered until then.";
    /// The broker grants what it had refused.
    SubscriptionGranted = "SUBSCRIPTION_GRANTED" (Notice, Both, PerKind) "the broker grants what it had refused" {
        broker: "address of the broker", filters: "what was asked for",
    } "Nothing.";
    /// The OT broker grants a subscription at QoS 0, and QoS 1 was asked for: it keeps nothing for the relay while that is away or can't keep up.
    SubscriptionWeaker = "SUBSCRIPTION_WEAKER" (Warning, Ot, PerKind) "the broker grants QoS 0 where QoS 1 was asked for" {
        broker: "address of the broker", filters: "what was asked for",
    } "Let the broker grant QoS 1 to this client (in mosquitto: `max_qos`). Until then what is sent while the relay is away is lost; nodes whose values that touches are in doubt, as far as their sequence numbers show it.";
    /// The IT broker says of a publication at QoS 1 that it doesn't take it (PUBACK of MQTT 5). In MQTT 3.1.1 it would have dropped it without a word.
    PublicationRefused = "PUBLICATION_REFUSED" (Error, It, PerSource("node")) "the broker refuses a publication" {
        broker: "address of the broker", node: "group and edge node", error: "the code, and what the broker says",
    } "Mend what the code names ([the codes of MQTT 5](mqtt5.md#reason-codes)); mostly it is the access list. What was refused isn't published again: the next value of the metric is, and all of them with the next birth.";
    /// The OT broker doesn't answer a subscription. Where no messages come either, the connection is made anew.
    SubscriptionUnanswered = "SUBSCRIPTION_UNANSWERED" (Error, Ot, PerKind) "the broker doesn't answer a subscription" {
        broker: "address of the broker", filters: "what was asked for", seconds: "how long it was waited for", key: "key of the configuration that sets how long",
    } "Look at the broker: it is overloaded, or a proxy before it lets only some packets through. On a very slow link, raise the key.";
    /// The OT broker doesn't give its stored births ($sparkplug/certificates), or ends the connection when it is asked for them; the relay does without.
    StoredBirthsRefused = "STORED_BIRTHS_REFUSED" (Info, Ot, PerKind) "the OT broker doesn't give its stored births" {
        broker: "address of the broker", error: "how it refused",
    } "Nothing. With access to them, nodes that were born before the relay came are known at once.";
    /// The OT broker doesn't let the relay read what hosts say of themselves (STATE), or ends the connection when it is asked for it; the relay does without.
    HostStatesRefused = "HOST_STATES_REFUSED" (Info, Ot, PerKind) "the OT broker doesn't give the STATE of hosts" {
        broker: "address of the broker", error: "how it refused",
    } "Nothing. With access to `spBv1.0/STATE/+` and `STATE/+`, the relay can say for which host edge nodes wait.";
    /// A secret can't be read; the earlier one is tried.
    SecretUnreadable = "SECRET_UNREADABLE" (Error, All, PerKind) "cannot read a secret" {
        error: "file and why",
    } "Restore the file with the mode and the owner it had.";
    /// A certificate ends within 30 days: the broker's, our own, or an authority's.
    CertExpires = "CERT_EXPIRES" (Warning, Both, PerSource("certificate")) "certificate expires soon" {
        certificate: "file, with number and name where it has several, or the broker whose certificate it is", expires: "date (UTC)", days_left: "whole days until then",
    } "Renew it before that day: afterwards nothing crosses. Exchanged files are taken up by themselves, as CERT_RENEWED says; copies that systemd handed over (`LoadCredential`) by a restart.";
    /// A certificate is past its end: the broker's, our own, or an authority's.
    CertExpired = "CERT_EXPIRED" (Error, Both, PerSource("certificate")) "certificate has expired" {
        certificate: "file, with number and name where it has several, or the broker whose certificate it is", expires: "date (UTC)",
    } "Renew it. TLS_REFUSED follows at the next connection, if it wasn't there before. One that nobody needs any more, such as an old cross-signed one behind our own, can be taken out of its file instead.";
    /// Certificates, key and authorities are taken up as they are in their files now: these were exchanged, or what was wrong with them is mended.
    CertRenewed = "CERT_RENEWED" (Notice, Both, PerKind) "the certificates in the files are in force" {
        files: "files that are others than before", #[optional] expires: "date (UTC) on which the first of them ends", #[optional] lasted_s: "seconds since the line that told of the trouble which is over",
    } "Nothing. Sessions that stand go on; from now on connections are made with these.";
    /// Certificates, key or authorities were exchanged, and what is in the files now can't be used. It is said again every hour, and health has it, until it is mended.
    CertNotRenewed = "CERT_NOT_RENEWED" (Error, Both, PerKind) "what is in the certificate files isn't used" {
        error: "which file, and what is wrong with it", #[optional] hint: "what to do about it",
    } "Mend the file that the error names; it is taken up by itself. Until then what was in force before stays, as long as it is valid.";
    /// A certificate, a key or the authorities can be read by root alone: the half has read them before it became its own user, and can't see that they are exchanged.
    CertNeedsRestart = "CERT_NEEDS_RESTART" (Info, Both, PerKind) "renewed certificates are taken up by a restart alone" {
        file: "the file that this half can't read", error: "why",
    } "Nothing, if you restart the half after each renewal. Else let its user read the file and the directories on the way to it.";
    /// The file of the broker's addresses (`addresses-file`) has others than those in force, or is in order again. Sessions that stand go on; connections are made to these from now on.
    BrokerAddresses = "BROKER_ADDRESSES" (Notice, Both, PerKind) "the addresses in the file are in force" {
        broker: "address of the broker, as it is configured", addresses: "all of them, in the order in which they are tried", #[optional] before: "those that were in force until now; absent where they are the same",
    } "Compare them with what was announced. What only knows the old ones keeps the half from the new ones: `PEERS` of its network, `IPAddressAllow=` of its unit, firewalls.";
    /// The file of the broker's addresses (`addresses-file`) can't be used. It is said again every hour, and health has it, until it is mended.
    BrokerAddressesRefused = "BROKER_ADDRESSES_REFUSED" (Error, Both, PerKind) "what is in the file of addresses isn't used" {
        broker: "address of the broker, as it is configured", error: "which file and line, what stands there and what was wanted", #[optional] hint: "what to do about it",
    } "Find out who wrote the file, and have it written anew by `sparkdiode resolve`. Until then the addresses stay as they were.";
    /// A message was dropped because the policy says so, or because it is of a kind that never crosses; or, with `metric`, a value of a message that crosses without it.
    PolicyDrop = "POLICY_DROP" (Info, Ot, Begins(&["node", "reason", "rule"])) "not forwarded" {
        node: "group/edge node", topic: "topic of the message", reason: "word of the list of reasons: no_rule, denied, command, …", #[optional] rule: "name of the rule that says so",
        #[optional] metric: "the first metric whose value a rule refuses, where the others cross",
    } "Nothing, if it should stay in the plant. If it should cross, `sparkdiode check` shows what the rules select.";
    /// Something of the plant has a name that the policy gives to something else. On IT the two would be one, so it doesn't cross.
    NameCollision = "NAME_COLLISION" (Warning, Ot, PerSource("node")) "name belongs to something else" {
        node: "group/edge node", topic: "topic of the message",
    } "Give it a name of its own in `[rename]`, or the other one another.";
    /// Data of a node is over a limit: its own, or one that it shares with others (`per`). Single values wait or are dropped; births and deaths always cross.
    RateExceeded = "RATE_EXCEEDED" (Warning, Ot, PerSource("node")) "over the rate limit" {
        node: "group/edge node", topic: "topic of the message", reason: "word of the list of reasons: rate, …; amplification: long names by alias; overload: refused unread",
        #[optional] rule: "name of the rule whose limit it is", #[optional] per: "who has the rule's limit: rule (all that it forwards together), or each edge-node, device or metric",
        #[optional] messages: "how many messages, where they were refused unread", #[optional] most: "the edge nodes that had most on the way to the pipeline then, with their part of it",
    } "Find out why the node, or who shares the limit with it, sends so much: a loop, a changed deadband, or somebody who floods. Raise the rule's rate if it is wanted, or give each a limit of its own (`per`).";
    /// A topic that can't be Sparkplug B, or not of this version.
    TopicRefused = "TOPIC_REFUSED" (Warning, Ot, PerKind) "topic refused" {
        topic: "the topic", reason: "word of the list of reasons: not_sparkplug, malformed_topic, unknown_type",
    } "Find out who publishes it. Somebody who tries topics is looking for holes.";
    /// A payload that can't be read, is over a bound, or doesn't fit its birth.
    PayloadRefused = "PAYLOAD_REFUSED" (Warning, Ot, PerSource("node")) "payload refused" {
        node: "group/edge node", topic: "topic of the message", reason: "word of the list of reasons: malformed_payload, over_cap, bad_compression, type_mismatch, …", bytes: "size of the payload",
        #[optional] problem: "what is wrong with it; of a limit, how many came of how many", #[optional] limit: "the limit that it is over",
        #[optional] key: "key of the configuration that sets the limit; absent where none does",
    } "Look at the node: a broken edge library, or somebody who tries the decoder. If a limit was hit by a node that is wanted, raise the key; `check` says what the other half then needs.";
    /// Metrics of a message that can't be read, don't fit their birth, or are over a limit. The rest of the message crosses; in a birth such a value is null, and of data readers are told that the value isn't known (null, Quality 0) until the next one.
    MetricRefused = "METRIC_REFUSED" (Warning, Ot, PerSource("node")) "metric refused" {
        node: "group/edge node", topic: "topic of the message", metric: "name of the first one; empty where it has none",
        reason: "word of the list of reasons: type_mismatch, unknown_metric, malformed_payload, over_cap, …", got: "what came",
        wanted: "what would have been taken", #[optional] key: "key of the configuration that sets the limit, where one is hit", metrics: "how many metrics of the message were refused, alone or in parts",
    } "Look at the node's configuration and library: the types of its births and data, and its character set (texts are UTF-8). Raise the key if it is a limit and the metric is wanted.";
    /// A message from the broker was larger than this half takes. It was dropped while it came and acknowledged; nobody else lost anything.
    MessageTooLarge = "MESSAGE_TOO_LARGE" (Warning, Both, PerSource("topic")) "message too large, dropped" {
        topic: "topic of the message", bytes: "its size", limit: "what this half takes", #[optional] key: "key of the configuration that sets the limit; absent where none does (commands on IT)",
        retained: "whether the broker had it stored, and so delivers it again with each subscription", broker: "address of the broker",
    } "Find out who sends it: the broker's log has the client. If it is a node that is wanted, raise the key; if the message is stored, it goes away by an empty retained message under its topic.";
    /// The broker sent a message that MQTT doesn't allow (§3.3.2, §4.7): with a topic that is empty, has a wildcard, U+0000 or isn't UTF-8, or a packet that ends within its own head. It was dropped as it came and counted; the session goes on.
    MessageImpossible = "MESSAGE_IMPOSSIBLE" (Warning, Both, PerKind) "the broker sent a message that MQTT doesn't allow; it was stepped over" {
        problem: "what is wrong with it", topic: "its topic as it came, what isn't text replaced", bytes: "size of the packet", retained: "whether the broker had it stored, and so delivers it again with each subscription",
        acknowledged: "whether the broker is told that it came; false at QoS 0, and where the packet ends before its identifier", broker: "address of the broker",
    } "Find out who sends it, in the broker's log, and why the broker lets such topics through: a broker that doesn't check what it takes, a broken client, or somebody who looks for holes.";
    /// The broker sent an answer that MQTT doesn't allow: to a packet that we didn't send, a second one to the same, or codes of a SUBACK for another number of filters. It was stepped over or mended, and the session goes on.
    AnswerImpossible = "ANSWER_IMPOSSIBLE" (Warning, Both, PerKind) "the broker's answer isn't one that MQTT allows; the session goes on" {
        problem: "what came", broker: "address of the broker",
    } "Look for a newer version of the broker, or of what stands before it. If SUBSCRIPTION_REFUSED is there too, the broker may take one filter at a time only.";
    /// A half was ended twice while it worked on this message or frame of the journal, or on what it remembers of this node: by a fault of ours, the watchdog, or want of memory. From the third start on it is left out and its node doubted or dropped, so that the others go on. What was dropped comes back with its next birth, and not with what the OT half repeats of it.
    SetAside = "SET_ASIDE" (Error, Both, PerSource("topic")) "set aside: the half was ended with it twice" {
        topic: "its topic, of what is remembered that of the birth; empty where there is none", #[optional] seq: "number of the frame in the journal",
        bytes: "size of its payload", kept: "the file that has it, or why none does",
    } "Report it to the maintainers with the file, which has values of the plant; `sparkdiode policy explain --capture` reads it. Delete the file when you are done: it takes no more than 128 MiB.";
    /// Data or death of a node or device whose birth the relay hasn't seen. It is dropped until a birth comes.
    BirthMissing = "BIRTH_MISSING" (Warning, Ot, PerSource("node")) "no birth is known" {
        node: "group/edge node", topic: "topic of the message", reason: "word of the list of reasons: data_before_birth, unknown_metric",
    } "Ordinary for a moment after the first start. If it stays, have the node's own host ask it for a rebirth, or restart the node.";
    /// Edge nodes send, and none of them is born yet: so it is after a first start beside a plant that runs. A birth says what the data mean, and each node publishes it when it connects or is asked for it.
    NodesUnborn = "NODES_UNBORN" (Warning, Ot, PerKind) "nodes send, and none is born yet: nothing crosses until then" {
        nodes: "how many nodes and devices", node: "group/edge node of one of them", #[optional] command: "for a shell on the plant's side: has this one born at once",
    } "Wait until each node connects anew, or have its own host ask it for a rebirth: `command` does that for one, with the login of whoever may write to it. The relay itself writes nothing there.";
    /// Messages of a node were lost before they reached the relay: its sequence has a hole that nothing filled within `reorder-timeout-ms`. What the relay refused itself is no such loss.
    SequenceGap = "SEQUENCE_GAP" (Warning, Ot, PerSource("node")) "messages were lost before they reached the relay" {
        node: "group/edge node",
    } "Look at the node's connection and the OT broker's queues. Until its next birth, values not seen since are shown as stale.";
    /// The numbers (`seq`) of an edge node's messages don't count them: they stand still, are left out, or nothing ever fills their holes. What is lost of it can't be seen from its numbers, so they are ignored, like those of a node without any, until 32 messages in a row are counted. Told once for each node.
    SeqNotCounted = "SEQ_NOT_COUNTED" (Warning, Ot, PerSource("node")) "the edge node does not count its messages by seq" {
        node: "group/edge node", #[optional] seq: "the number that every message has, where it stands still",
    } "Have its publisher count: `seq` is 0 in the NBIRTH and one more with every message of node and devices, 0 after 255.";
    /// The messages of an edge node have two sequences of numbers that take turns, for the same topics: two publishers use its name (or one keeps two counters). Hosts see the values of both as those of one. The numbers are ignored until 32 messages in a row are counted. Told once for each node.
    NameShared = "NAME_SHARED" (Warning, Ot, PerSource("node")) "two publishers under one name: the edge node's messages have two sequences of seq" {
        node: "group/edge node", numbers: "the next numbers of the two",
    } "Find the second publisher (a copied configuration, a gateway that was replaced and runs on) and give it a name of its own.";
    /// Numbers of an edge node come again and again with other messages, in a way that has several possible causes. They are ignored until 32 messages in a row are counted. Told once for each node.
    SeqRepeats = "SEQ_REPEATS" (Warning, Ot, PerSource("node")) "seq repeats: the edge node does not count it, its devices count each for itself, or two publishers use its name" {
        node: "group/edge node",
    } "Look at which messages have one number: with different devices, have its publisher count all of them in one sequence; in one device, look for a second publisher.";
    /// Values of a node may be out of date, and are shown as STALE until they are seen again: messages of it were lost on OT (SEQUENCE_GAP there) or refused, or may have been lost, since the OT half was away from its broker or didn't run.
    ValuesDoubted = "VALUES_DOUBTED" (Warning, It, PerSource("node")) "values may be out of date and are shown as stale" {
        node: "group/edge node",
    } "Look at the OT half's log for the cause. The node's next birth makes all values good.";
    /// Nothing was heard of a node for `doubt-after-s` since the relay was away. It may have died meanwhile, and is dead on IT until it is heard of.
    NodeUnheard = "NODE_UNHEARD" (Notice, Ot, PerSource("node")) "nothing was heard of a node since the relay was away: it is dead until it is" {
        node: "group/edge node",
    } "Nothing, if the node is off. If it lives and is only quiet, its next message brings it back; have its host ask it for a rebirth.";
    /// The death of an edge node came before the birth that it ends, as its number (`bdSeq`) or its time says: a broker or the way to it delivered them in another order. What the birth and the messages behind it said has crossed; then the node is dead on IT.
    DeathOvertook = "DEATH_OVERTOOK" (Notice, Ot, PerSource("node")) "the death of a node came before its birth: it is dead until it is heard of" {
        node: "group/edge node",
    } "Nothing, if the node is off. If it lives, its next message brings it back, and from then on its deaths are taken for deaths of the session before.";
    /// A host application is offline on OT by its STATE, for ten seconds and more, while edge nodes are silent. Those that have it as primary host wait for it.
    HostOffline = "HOST_OFFLINE" (Warning, Ot, PerSource("host")) "a host is offline on OT: edge nodes that wait for it are silent until it is back" {
        host: "host id, as edge nodes have it for their primary host", topic: "where its STATE is", silent: "edge nodes that the relay knows and that are silent", live: "edge nodes that live",
    } "Where SCADA has moved up to IT, somebody on OT has to give that STATE, or the edge nodes get another primary host id, or none. The relay publishes nothing on OT. Where the host is gone for good, clear its retained STATE.";
    /// A host that was told as offline is online by its STATE, or its STATE was cleared.
    HostOnline = "HOST_ONLINE" (Notice, Ot, PerSource("host")) "a host is no longer offline on OT" {
        host: "host id", topic: "where its STATE is",
    } "Nothing.";
    /// An edge node died: its NDEATH has the number (`bdSeq`) of its birth, or none that could be compared.
    NodeDied = "NODE_DIED" (Info, Ot, PerSource("node")) "an edge node died" {
        node: "group/edge node", #[optional] bd_seq: "number of the death; absent where it has none",
    } "Nothing.";
    /// A death of an edge node was not believed: it has the number (`bdSeq`) of an earlier birth that this relay saw, so it is the will of a session that is over. The node lives on.
    DeathIgnored = "DEATH_IGNORED" (Notice, Ot, PerSource("node")) "a death of an earlier session was not believed" {
        node: "group/edge node", #[optional] bd_seq: "number of the death", #[optional] birth: "number of the birth in force",
    } "Nothing, if the node was power-cycled or changed its connection. If it comes with each connect, the node counts `bdSeq` at births: its real death will not be believed either, here as in any host.";
    /// A death of an edge node has a number (`bdSeq`) that no birth had which this relay saw. The node is dead on IT until something is heard of it.
    DeathUnmatched = "DEATH_UNMATCHED" (Notice, Ot, PerSource("node")) "a death with an unknown number: the node is dead until it is heard of" {
        node: "group/edge node", #[optional] bd_seq: "number of the death", #[optional] birth: "number of the birth in force",
    } "Look at the node's library: will and birth should have the same number. Ordinary at a clean disconnect of libraries that send the next one.";
    /// A bound of the configuration was reached; what is beyond it is dropped, or takes the place of an edge node that was hardly ever heard.
    CapacityReached = "CAPACITY_REACHED" (Error, Both, PerSource("limit")) "over capacity" {
        limit: "key of the configuration, or the bound of a node's layout", #[optional] topic: "topic of the message", #[optional] gave_way: "group/edge node that gave way to it: dead on IT",
    } "If the plant has grown, raise the key. If not, somebody invents nodes or devices; a node whose group and name a rule spells out never gives way to one of another name.";
    /// What would have to be remembered of an edge node, or of all, is more than may be. A birth is refused as a whole: the edge node or device is dead on IT, and its data can't be read. Of data the value is refused that is too large, and the node's values are in doubt.
    MemoryRefused = "MEMORY_REFUSED" (Error, Both, PerSource("node")) "more than may be remembered" {
        node: "group/edge node", #[optional] device: "its device, where it is one", bytes: "what it would take in memory", budget: "what there is room for", limit: "key of the configuration",
    } "If the plant has grown, raise the key, and MemoryMax of the unit with it (`sparkdiode check` computes it). If not, somebody sends more than a plant has: look at the node.";
    /// A frame of the journal was refused by the IT half: it isn't allowed by its copy of the policy, or isn't what the OT half would write.
    FrameRefused = "FRAME_REFUSED" (Error, It, PerSource("reason")) "frame of the journal refused" {
        entity: "group/edge node/device, or the topic where that can't be read", reason: "word of the list of reasons: recheck, bad_frame, …",
        #[optional] problem: "of a limit of `it.toml`, how many came of how many", #[optional] limit: "the limit that it is over", #[optional] key: "key of `it.toml` that sets the limit",
    } "With a key: `sparkdiode check ot.toml it.toml` says what this half needs for what the other one is told to take. Without one, compare the digests of both policies (POLICY_LOADED); if they agree, treat the OT half as compromised.";
    /// Writing to the disk fails. The OT half acknowledges nothing until it works again, and the OT broker keeps what it can.
    DiskError = "DISK_ERROR" (Critical, All, PerSource("what")) "the disk refuses; nothing is acknowledged until it takes data" {
        what: "journal, retention, segment, plant or state", error: "file and why",
    } "Make room or replace the disk. On OT data at QoS 0 is being lost in the meantime.";
    /// Writing works again.
    DiskOk = "DISK_OK" (Notice, All, PerSource("what")) "the disk takes data again" {
        what: "journal, segment, plant, state or status", #[optional] lasted_s: "seconds since the line that told of the trouble which is over",
    } "Nothing.";
    /// The journal is nearly as large as it may be, and what will be deleted is younger than it should get.
    JournalNearLimit = "JOURNAL_NEAR_LIMIT" (Warning, Ot, Never) "the journal is near its limit: segments will be deleted before their age" {
        bytes: "size of the journal", limit: "its limit, `retain-bytes`",
    } "Raise `retain-bytes` (and the disk), or lower `retain-age-h`: an outage of IT may last as long as the journal reaches back.";
    /// Old segments were deleted, as `retain-bytes` and `retain-age-h` say.
    JournalTrimmed = "JOURNAL_TRIMMED" (Info, Ot, PerKind) "old segments deleted" {
        segments: "number of segments", frames: "frames in them", bytes: "bytes in them",
    } "Nothing.";
    /// Something is larger than a frame of the journal may be, and was left out.
    FrameTooLarge = "FRAME_TOO_LARGE" (Error, Ot, PerKind) "left out of the journal: too large" {
        #[optional] error: "what was too large", #[optional] keyframes: "number of keyframes that were left out of a segment's head",
    } "Find the node with that large a birth; its data can't be read without it.";
    /// A half's own stored state can't be used. It is set aside, and learnt anew.
    StateDamaged = "STATE_DAMAGED" (Warning, All, Never) "stored state can't be used; it is learnt anew" {
        what: "plant, mirror, bdSeq, server or link", why: "damaged, or too old for the journal", #[optional] moved_to: "where the file is kept",
    } "Look for errors of the disk. Nodes are known again with their next birth.";
    /// The journal can't be read; who reads it goes on trying.
    JournalUnreadable = "JOURNAL_UNREADABLE" (Error, Readers, PerKind) "journal not readable; trying again" {
        error: "file and why",
    } "Look at mount, owner and mode of the journal's directory.";
    /// Frames of the journal can't be had any more: the reader was away for longer than the journal reaches back, or they are damaged.
    FramesLost = "FRAMES_LOST" (Error, It, Never) "frames lost" {
        first: "first sequence number", last: "last sequence number", count: "how many", cause: "why: retention, damage, link, rewound, too_large",
        #[optional] key: "key of `it.toml` that sets the limit, where they were larger than that",
    } "What they held is missing on IT, for good. Look for why the IT half was away, and at `retain-bytes`; if they were too large, raise the key.";
    /// Frames that were lost on the link between two boxes came after all, by its second pass or by hand: their values are history on IT.
    LateFrames = "LATE_FRAMES" (Notice, It, Never) "lost frames came late" {
        first: "lowest sequence number", last: "highest sequence number", frames: "how many came", used: "of these, those whose values were sent as historical, or wait to be, or that had none to send",
    } "Nothing. FRAMES_LOST has told that they were missing. Where not all were used, their device or metric is gone, or the policy is tighter now: they can be read with `sparkdiode journal cat`.";
    /// Values that were missed during an outage belong to a device or metric that doesn't exist any more.
    ValuesUnplaceable = "VALUES_UNPLACEABLE" (Warning, It, Never) "missed values were not published: their device or metric is gone" {
        first: "first sequence number", last: "last sequence number", frames: "frames with such values",
    } "They can be read with `sparkdiode journal cat --from-seq … --to-seq …`.";
    /// What an outage of IT missed stands in the journal before the policy became tighter, and this half has no copy of the policy in force to ask whether it may leave: it stays.
    HistoryWithheld = "HISTORY_WITHHELD" (Warning, It, Never) "missed values were not published: the policy became tighter since" {
        first: "first sequence number", last: "last sequence number", frames: "frames that stay",
    } "Give the IT half a copy of the policy (`[policies]` in `it.toml`), so that of such history what the policy in force lets through still leaves. It can be read with `sparkdiode journal cat --from-seq … --to-seq …`.";
    /// What an outage of IT missed has been sent as historical data, and the broker holds it.
    BackfillDone = "BACKFILL_DONE" (Notice, It, Never) "what was missed has been sent" {
        messages: "how many messages it took", seconds: "how long it took",
    } "Nothing. VALUES_UNPLACEABLE, HISTORY_WITHHELD and FRAMES_LOST say what of it is missing.";
    /// No sign of life came from the OT half, or it has lost its broker: every mirrored node is declared dead on IT.
    LinkStale = "LINK_STALE" (Error, It, Never) "link stale: every node is declared dead" {
        away_ms: "milliseconds since the last sign of life, or since the OT half has been away from its broker", why: "what is known of the cause: no sign of life, or away from its broker by its own word",
    } "Look whether the OT half runs, and what it says itself: BROKER_DOWN, DISK_ERROR, STOPPED.";
    /// The OT half gives signs of life again; nodes are born again.
    LinkAlive = "LINK_ALIVE" (Notice, It, Never) "link alive" {
        #[optional] lasted_s: "seconds since the line that told of the trouble which is over",
    } "Nothing.";
    /// Frames come, but were written too long ago to prove anything.
    OldFrames = "OLD_FRAMES" (Warning, It, Never) "only old frames come: a backlog, or the clocks of the two halves differ" {
        behind_ms: "milliseconds between the writing of the newest frame and now",
    } "Compare the clocks of both boxes. A backlog goes away by itself.";
    /// Somebody on IT published a command for a mirrored node. Nothing of it crossed.
    CommandRefused = "COMMAND_REFUSED" (Warning, It, PerSource("topic")) "command refused" {
        topic: "topic of the command", metrics: "names of the metrics that it would have written", reason: "why it is no rebirth request",
    } "Find out who: the IT broker's log has the client. Somebody tried to write to the plant, or a host is misconfigured.";
    /// A rebirth request of an IT host was answered from the mirror; the plant heard nothing of it.
    RebirthAnswered = "REBIRTH_ANSWERED" (Info, It, PerSource("node")) "rebirth answered" {
        node: "group/edge node",
    } "Nothing. A host that asks all the time can't follow the sequence: look at its connection.";
    /// The births of a mirrored node are published.
    NodeBorn = "NODE_BORN" (Info, It, PerSource("node")) "born" {
        node: "group/edge node", devices: "number of its devices", bd_seq: "bdSeq of its session on IT",
    } "Nothing.";
    /// A mirrored node is dead on IT.
    NodeDead = "NODE_DEAD" (Notice, It, PerSource("node")) "dead" {
        node: "group/edge node", why: "why",
    } "Look whether the node should be up. If all die together, look for LINK_STALE.";
    /// The IT session of a mirrored node broke; it is opened again.
    SessionLost = "SESSION_LOST" (Warning, It, PerSource("node")) "session lost" {
        node: "group/edge node", #[optional] birth_bytes: "size of its births, where the broker hadn't confirmed them yet",
    } "Nothing, if it happens once. If it goes on for one node, look for BIRTH_ENDS_SESSION and SESSION_TAKEN_OVER.";
    /// The session of a mirrored node ended again and again before the broker confirmed its births. Most likely the access list of the broker doesn't allow the topics of births, or one of them is larger than it takes: MQTT 3.1.1 has no word for either but the end of the connection.
    BirthEndsSession = "BIRTH_ENDS_SESSION" (Error, It, PerSource("node")) "the session ended again before its births were confirmed: no right to publish them, or larger than the broker takes?" {
        node: "group/edge node", bytes: "size of all births of the node", largest: "size of the largest of them", times: "how often in a row; the pause between attempts grows up to two minutes",
    } "Look in the log of the IT broker, compare `largest` with its packet limit (mosquitto: `max_packet_size`), and see that the relay may publish `spBv1.0/GROUP/NBIRTH/NODE` and its like. Allow that, raise the limit, or let fewer metrics of the node cross.";
    /// The session of a [folded group](hosts.md#folded-groups) ended again and again before the broker confirmed the births, and this node has the largest of them. The group goes on without it, so that the others are seen; it is tried again when the wait is over, and what it sends until then comes later as history. Each try that fails ends the session of the group for a moment, and doubles the wait, up to an hour.
    BirthHeld = "BIRTH_HELD" (Error, It, PerSource("node")) "its birth ended the session of its group: the group goes on without it for now" {
        node: "group/edge node, as it is called in the plant", bytes: "size of the birth", wait_s: "until it is tried again, in seconds",
    } "Compare `bytes` with the packet limit of the IT broker (mosquitto: `max_packet_size`), and raise that, or let fewer metrics of the node cross. Where the broker's limit stays, say so with `profile` or `max-packet-bytes` of `[broker]`: then the node is refused here and no session ends. A restart of the IT half tries it at once.";
    /// Sessions end when others of ours begin, and no two have stood together for a second lately: so it is where a broker gives all sessions of one user the same client identifier (mosquitto: `use_username_as_clientid`).
    SessionsExclude = "SESSIONS_EXCLUDE" (Error, It, PerKind) "sessions end when others of ours begin, as where the broker gives all of them the same client identifier" {
        broker: "address of the broker", standing: "sessions that stand at the same time", times: "how often within a minute",
    } "Have the broker take the client identifier of each session as it is; its log shows which ones it knows. If they are as we gave them, look there for a second relay with our identifiers. Until then one node at a time is alive on IT.";
    /// Some nodes have no session while those of others stand, and it isn't their login that is refused: so it is where a broker allows fewer sessions than there are nodes, or doesn't let some nodes in.
    SessionsLimited = "SESSIONS_LIMITED" (Error, It, PerKind) "nodes have no session while those of others stand" {
        broker: "address of the broker", standing: "sessions that stand", missing: "nodes without one",
        error: "what the broker says to the last of them", node: "the last of them: group/edge node", client_id: "client identifier of its session",
    } "Look in the broker's log for `client_id`. Where it is one node alone, an access list may not know its identifier. Where it is many in turn, look at the limit of connections, of all and of one user or address: it has to allow one for each edge node, and one for the relay's own.";
    /// At a stop the IT broker didn't acknowledge every death; it sends the wills instead.
    DeathsUnconfirmed = "DEATHS_UNCONFIRMED" (Warning, It, Never) "the IT broker did not take every death in time" {} "Nothing, if hosts show the nodes as dead.";
    /// The primary host that the sessions wait for came or went.
    PrimaryHost = "PRIMARY_HOST" (Notice, It, PerKind) "primary host" {
        online: "whether it is online",
    } "While it is away nothing is published; that is what `primary-host` asks for.";
    /// The sending end of a link between two boxes began a session: it was started, has another key, or has used up the numbers of the one before. The receiving end tells when it hears the first of it.
    LinkSession = "LINK_SESSION" (Notice, Ends, PerKind) "session of the link" {
        session: "its number, which never goes back", #[optional] key: "id of the link key, on the sending box",
    } "Nothing. Compare the key's id on both boxes where nothing arrives (`sparkdiode status`).";
    /// After SIGHUP the receiving end takes other link keys than before.
    LinkKeys = "LINK_KEYS" (Notice, Receive, Never) "other link keys are taken" {
        keys: "ids of all that are taken",
    } "Take the old key away once LINK_SESSION on the sending box names the new one.";
    /// No sign of life has come from the sending box: nothing at all, or only what was held back or recorded.
    LinkSilent = "LINK_SILENT" (Error, Receive, Never) "no sign of life from the sender" {
        silent_ms: "milliseconds since the last one, or since the start",
    } "Look whether `send` runs, at the cable, and at LINK_FOREIGN and LINK_REPLAY here. `it` declares the nodes dead by itself.";
    /// The sender gives signs of life again.
    LinkBack = "LINK_BACK" (Notice, Receive, Never) "the sender gives signs of life" {
        #[optional] lasted_s: "seconds since the line that told of the trouble which is over",
    } "Nothing. LINK_LOSS follows if something of what was missed doesn't come any more.";
    /// A path brings nothing while another one does.
    PathDown = "PATH_DOWN" (Error, Receive, PerSource("path")) "a path of the link is down" {
        path: "name of the path",
    } "Look at its cable, its media converters and its interfaces on both boxes. Nothing is lost as long as another path carries all of it.";
    /// The operating system of the sending box refuses datagrams of a path: no such network, a full queue, an interface that is down.
    PathRefused = "PATH_REFUSED" (Error, Send, PerSource("path")) "datagrams of a path are refused" {
        path: "name of the path", error: "what the system says",
    } "Look at its interface, address and static neighbour entry: `sparkdiode doctor send.toml`. What was to go there is lost for this path.";
    /// A path is in order again.
    PathUp = "PATH_UP" (Notice, Ends, PerSource("path")) "a path of the link is up" {
        path: "name of the path", #[optional] lasted_s: "seconds since the line that told of the trouble which is over",
    } "Nothing.";
    /// Frames are missing, and the sending box doesn't send them again by itself: they were missed each time that they went.
    LinkLoss = "LINK_LOSS" (Error, Receive, PerKind) "frames are lost on the link" {
        first: "number of the first frame", last: "number of the last one", frames: "how many",
    } "`sparkdiode resend --from FIRST --to LAST` on the sending box brings what its journal still has. If it happens again, look at LINK_OVERFLOW, raise `overhead-percent`, or give the second pass more.";
    /// Datagrams came that aren't of this link, or that nobody can read: another version, another name of the link, an unknown key, forged or damaged ones. Nothing of them was used.
    LinkForeign = "LINK_FOREIGN" (Warning, Receive, PerSource("cause")) "datagrams that are not of this link" {
        cause: "length, protocol, version, link (its name), key (unknown), forged (or damaged on the way), malformed (authentic, and without sense)", datagrams: "how many since the line before",
    } "Compare name and key ids of both boxes. If they are the same, find out what else sends to this port; a few that are forged or damaged come from a bad cable.";
    /// Datagrams of this link came that were seen before, may have been, or are of a session that ended. Nothing of them was used. Copies come of switches and of somebody who sends a recording; the first moments after a killed receiver are among `too_old`, those before a sender's restart that were overtaken among `old_session`.
    LinkReplay = "LINK_REPLAY" (Warning, Receive, PerSource("cause")) "datagrams that may have been seen before" {
        cause: "duplicate, too_old or old_session", datagrams: "how many since the line before",
    } "Nothing, if it was a restart. If it goes on, look for a loop or a mirror port in the wiring, and for somebody who sends what he has recorded.";
    /// The operating system dropped datagrams that had arrived, since the receive buffer was full.
    LinkOverflow = "LINK_OVERFLOW" (Error, Receive, PerSource("path")) "the receive buffer was full: datagrams were dropped" {
        path: "name of the path", datagrams: "how many since the line before",
    } "Raise `receive-buffer-bytes` and net.core.rmem_max, lower the sender's pacing, or give this box more processor.";
    /// A receive buffer is smaller than it should be.
    LinkBufferSmall = "LINK_BUFFER_SMALL" (Warning, Receive, Never) "a receive buffer is smaller than configured" {
        path: "name of the path", granted: "bytes that the system gives", wanted: "what `receive-buffer-bytes` asks for",
    } "Raise net.core.rmem_max to what is wanted, or start it as root, which may ask for more.";
    /// Blocks are given up before what repairs them has come.
    LinkReorderShort = "LINK_REORDER_SHORT" (Warning, Receive, PerKind) "holes are given up before the sender has sent what repairs them" {
        reorder_ms: "what is waited for a hole", needed_ms: "`close-after-ms` and `spread-ms` of the sender, together",
    } "Raise `reorder-ms` here, or lower those on the sending box.";
    /// Frames came and weren't taken, or weren't sent.
    LinkFramesRefused = "LINK_FRAMES_REFUSED" (Error, Ends, PerSource("reason")) "frames do not cross" {
        reason: "too_large (`max-frame-bytes` of this box), lost (the sender's journal had lost them before they were read), unknown (what says of which segment they are was lost; a second pass brings both), old_epoch (an earlier start of the sender's journal), malformed", frames: "how many since the line before",
    } "Raise `max-frame-bytes` on both boxes. Of old_epoch: if the sender's journal was made anew while its clock was behind, the journal here has to be made anew too.";
    /// An operator had frames sent again.
    LinkResend = "LINK_RESEND" (Notice, Send, PerKind) "frames are sent again" {
        first: "number of the first frame that was asked for", last: "number of the last one", frames: "how many of them the journal has",
    } "Nothing, if it was you. Only this end's user and root can ask.";
    /// A request to send frames again makes no sense or can't be read.
    LinkResendRefused = "LINK_RESEND_REFUSED" (Warning, Send, PerKind) "a request to send frames again is refused" {
        error: "why",
    } "Ask by `sparkdiode resend`.";
    /// What an end of a link has done since its start, and how it is; at an interval that the configuration sets, and at its end.
    LinkSummary = "LINK_SUMMARY" (Info, Ends, Never) "summary of the link" {
        health: "ok, warning or critical", #[optional] reasons: "why it isn't ok", #[optional] session: "number of the session",
        frames: "sent for the first time, or taken in order", datagrams: "sent or received", #[optional] frames_again: "sent again",
        #[optional] frames_late: "taken late", #[optional] frames_missing: "missing now", #[optional] frames_lost: "lost since the start",
        #[optional] repaired: "lost parts that were restored", #[optional] foreign: "datagrams that aren't of this link",
        #[optional] overflowed: "datagrams that the system dropped", #[optional] clock_ahead_ms: "the sender's clock less this one",
    } "Nothing.";
    /// What the half has done since its start, and how it is; at an interval that the configuration sets, and at its end.
    Summary = "SUMMARY" (Info, Both, Never) "summary" {
        health: "ok, warning or critical", #[optional] reasons: "why it isn't ok", nodes_alive: "edge nodes that are alive and shown",
        nodes_known: "edge nodes that are known", received: "messages; on IT, frames with a message", forwarded: "of these, forwarded",
        waiting: "of these, neither forwarded nor dropped yet", dropped: "of these, dropped: reason=messages/metrics",
        received_per_s: "messages per second since the last status", forwarded_per_s: "the same, forwarded", dropped_per_s: "the same, dropped",
        gaps: "losses before the relay", #[optional] frames_lost: "frames that can't be had any more", #[optional] backfilled: "published as historical data", #[optional] unplaceable: "historical values without a place",
        #[optional] healed: "differences that keyframes have healed", #[optional] rebirths_answered: "rebirth requests answered", #[optional] commands_refused: "commands refused",
        #[optional] observed: "metrics that rules which only observe would have decided about since the policy is in force: rule=metrics", #[optional] shadow: "metrics by what the policy in shadow would do otherwise, or `refused`", #[optional] of_other_shards: "messages of edge nodes that other relays have; not in received",
    } "Nothing. received = forwarded + waiting + the messages in dropped.";
    /// The account doesn't balance: a message was counted twice or not at all. It never happens.
    AccountImbalance = "ACCOUNT_IMBALANCE" (Error, Both, Never) "the account does not balance" {
        what: "what doesn't", received: "messages", forwarded: "of these, forwarded", dropped: "of these, dropped", waiting: "of these, waiting",
    } "Report it: this is a mistake of ours. What crosses isn't affected.";
    /// The code got into a state that can't be. It gave up what it was about to do, and goes on. A mistake of ours, never of the plant or the network.
    Mistake = "MISTAKE" (Error, All, PerSource("place")) "a state that can't be" {
        place: "file and line of the source",
        words: "which state",
        count: "how often since the start, at this place",
    } "Report it with these lines, version and policy. Values that were on their way at that moment may be missing; a rebirth of the node or a restart of the half brings them back.";
    /// The relay's own edge node can't be shown: an edge node of the plant has its name.
    HealthNameTaken = "HEALTH_NAME_TAKEN" (Error, It, Never) "the relay's own edge node is not shown: its name is taken" {
        node: "group/edge_node",
    } "Give the relay's own edge node another name in `[health]` of it.toml.";
    /// An edge node of the plant isn't mirrored: it has the name of the relay's own edge node.
    NodeNameTaken = "NODE_NAME_TAKEN" (Error, It, PerSource("node")) "an edge node is not mirrored: its name is the relay's own" {
        node: "group/edge_node",
    } "Give the relay's own edge node another name in `[health]` of it.toml.";
    /// Status file or textfile can't be written. Messages aren't affected.
    StatusUnwritten = "STATUS_UNWRITTEN" (Warning, All, PerKind) "status not written; trying again" {
        error: "file and why",
    } "Make room, or mend the directory. Until then monitoring shows old figures.";
    /// A syslog target can't be reached. Lines wait in its queue, and what doesn't fit is counted.
    LogTargetDown = "LOG_TARGET_DOWN" (Warning, All, PerSource("target")) "syslog target not reachable" {
        target: "name of the target",
        error: "why",
    } "Look at the syslog server and the way to it. The relay itself is not impeded.";
    /// A syslog target is reached, at the start or again.
    LogTargetUp = "LOG_TARGET_UP" (Notice, All, PerSource("target")) "syslog target reached" {
        target: "name of the target",
        lost: "lines that didn't fit into its queue until now; LOG_LOST follows where there are any", #[optional] lasted_s: "seconds since the line that told of the trouble which is over",
    } "Nothing.";
    /// Lines for a syslog target are lost: its queue was full, or the half ended before they were sent. Told to the target itself, and to the others.
    LogLost = "LOG_LOST" (Warning, All, Never) "lines for a syslog target are lost" {
        target: "name of the target", lost: "how many, exactly", #[optional] first_at: "when the first of them happened (UTC)",
        #[optional] last_at: "when the last of them happened (UTC)",
    } "Look at another target for what happened in that time, or at the half's stderr.";
    /// A syslog server over TCP or TLS, or a stream to a local daemon, doesn't end a connection when it has read everything and the relay has ended its side. So nobody knows what it has read; what it hadn't read when it dies can be lost without being counted, if it is older than two minutes. Told when that is found out, and at the half's end with the number of lines.
    LogUnconfirmed = "LOG_UNCONFIRMED" (Warning, All, PerSource("target")) "a syslog server doesn't say what it has read" {
        target: "name of the target",
        #[optional] lines: "at the half's end: lines that were sent, and may be unread",
    } "See whether the server hangs. If it is meant to be so (some balancers are), holes in `sequenceId` are what tells a loss.";
}
