//! Every bound of the vault, in one place: sizes in bytes, counts, times,
//! queues and retries. The tests hold each against the running server, and that
//! each is used.

use std::time::Duration;

/// Longest tenant, service or catalog name (a DNS label's length, RFC 1035).
pub const LABEL_BYTES: usize = 63;
/// Longest caller's id of a customer or a record.
pub const CALLER_ID_BYTES: usize = 128;

/// A page key wraps the keys of 2^8 = 256 customers.
pub const CUSTOMERS_PER_PAGE_BITS: u32 = 8;
/// An index page is split when it holds more rows than this.
pub const INDEX_ROWS_PER_PAGE: u64 = 256;

/// Fields a record type may declare.
pub const FIELDS_PER_TYPE: usize = 128;
/// The highest field number (14 bits of the nonce).
pub const FIELD_NUMBER_MAX: u16 = 16_383;
/// The largest size a catalog may allow one field.
pub const FIELD_BYTES: usize = 1 << 20;
/// All of a record's plaintexts together.
pub const RECORD_BYTES: usize = 2 << 20;
/// Nesting of a JSON value.
pub const JSON_DEPTH: usize = 32;
/// Record types, purposes and roles a catalog may declare, each.
pub const CATALOG_ENTRIES: usize = 256;
/// A title in the catalog.
pub const TITLE_BYTES: usize = 400;
/// Versions of a purpose's notice.
pub const NOTICE_VERSIONS: u32 = 1_000;
/// A notice's text in one language.
pub const NOTICE_BYTES: usize = 16 << 10;
/// A language tag (RFC 5646, 4.4.1).
pub const LANGUAGE_BYTES: usize = 35;
/// What proves a consent.
pub const EVIDENCE_BYTES: usize = 64 << 10;
/// Purposes of the Transparency and Consent Framework that a string has bits for.
pub const TCF_PURPOSES: u8 = 24;
/// A consent string of it: as long as a cookie may be.
pub const TC_STRING_BYTES: usize = 4_096;
/// How long a consent string is relied on: thirteen months of thirty days, as
/// its cookie lives.
pub const TCF_DAYS: u32 = 390;
/// A customer's newest events that are looked at for a no that a signal would lift.
pub const SIGNAL_EVENTS: usize = 2_000;
/// Entries of the ledger that are carried out together at start.
pub const REPLAY_ENTRIES: usize = 1_000;
/// What is on record of a customer's say: two for each purpose at most.
pub const STANDINGS: usize = 2 * CATALOG_ENTRIES;
/// Restrictions and holds of one customer.
pub const RESTRAINTS: usize = 64;
/// Reviewers of one hold.
pub const REVIEWERS: usize = 16;
/// The longest grace before an approved erasure: less than any law's clock.
pub const GRACE_DAYS: u32 = 14;
/// How often it is looked whether a request goes on by itself.
pub const REQUEST_LOOK: Duration = Duration::from_secs(60);
/// Changes of requests that wait for a watcher before the watcher is sent away.
pub const REQUEST_CHANGES: usize = 1_024;
/// The longest retention that a catalog may name: a hundred years, in days.
pub const RETENTION_DAYS: u32 = 36_525;
/// Principals that a roles file may list.
pub const PRINCIPALS: usize = 4_096;
/// One file of the catalog, the policy or the roles.
pub const CONFIG_FILE_BYTES: usize = 1 << 20;
/// Records that one customer may ever have had: numbers are not given again.
pub const RECORDS_PER_CUSTOMER: u64 = 4_000_000;

/// Policies in a policy file (a decision costs time linear in them).
pub const POLICIES: usize = 512;
/// Nesting of brackets in a policy, counted before it is parsed.
pub const POLICY_DEPTH: usize = 16;
/// Words and signs of one policy, counted before it is parsed.
pub const POLICY_TOKENS: usize = 1_024;
/// Stack of the thread that parses policies.
pub const POLICY_STACK_BYTES: usize = 64 << 20;
/// Remembered policy decisions.
pub const DECISIONS_REMEMBERED: usize = 4_096;

/// Names in one BatchGetRecords.
pub const BATCH_NAMES: usize = 100;
/// Fields named in one read or update.
pub const FIELDS_PER_REQUEST: usize = FIELDS_PER_TYPE;
/// Records in one chunk of a stream: also how often a stream looks again at
/// consent and erasure.
pub const STREAM_CHUNK_RECORDS: usize = 64;
/// Plaintext in one chunk of a stream before it is cut short.
pub const STREAM_CHUNK_BYTES: usize = 1 << 20;
/// Plaintext in one batch reply.
pub const BATCH_BYTES: usize = 3 << 20;
/// Customers in one EraseCustomers.
pub const BULK_NAMES: usize = 10_000;
/// ListRecords: the default page.
pub const LIST_PAGE_DEFAULT: usize = 100;
/// ListRecords: the largest page.
pub const LIST_PAGE_MAX: usize = 1_000;
/// A cursor or page token.
pub const CURSOR_BYTES: usize = 512;

/// The file of a certificate.
pub const CERTIFICATE_BYTES: usize = 256 << 10;

/// Records in one export of a customer.
pub const EXPORT_RECORDS: usize = 100_000;
/// Stored bytes of the records of one export: its files are made in memory.
pub const EXPORT_BYTES: usize = 64 << 20;
/// Entries of the audit log in one export.
pub const EXPORT_ENTRIES: usize = 1_000_000;
/// Records that an export opens in one go.
pub const EXPORT_RECORDS_A_JOB: usize = 64;
/// Slots of a history that are looked into in one go.
pub const HISTORY_SLOTS_A_JOB: usize = 2_000;
/// Entries of a history that one go reads.
pub const HISTORY_ENTRIES_A_JOB: usize = 1_000;
/// The file of a report, as far as a checker reads it.
pub const REPORT_BYTES: u64 = 1 << 30;
/// One part of an export on the wire.
pub const EXPORT_PART_BYTES: usize = 1 << 20;
/// How often it is looked whether something has come due.
pub const SWEEP_LOOK: Duration = Duration::from_secs(5);
/// Records or customers that a sweep looks up together.
pub const SWEEP_RECORDS: usize = 500;
/// Days of the log that a review looks at, where it does not say.
pub const REVIEW_DAYS: u32 = 90;
/// Entries of the log that a review looks at: the newest.
pub const REVIEW_ENTRIES: u64 = 500_000;
/// How many days before it runs out a review names a consent.
pub const CONSENT_SOON_DAYS: u32 = 30;
/// Readers of customers' data that a node remembers as being on record.
pub const READERS_REMEMBERED: usize = 1 << 18;
/// How long services are told an event that they do not acknowledge, in days.
pub const EVENT_DAYS: i32 = 30;
/// How often it is looked whether there are events for a service that watches.
pub const EVENTS_LOOK: Duration = Duration::from_millis(250);
/// Events that are acknowledged together.
pub const EVENTS_ACKNOWLEDGED: usize = 1_000;
/// Events that a closing epoch seals anew together.
pub const EVENTS_RESEALED: usize = 1_000;
/// A text of a person's request, or of its denial.
pub const RIGHTS_TEXT_BYTES: usize = 4_000;

/// A request message.
pub const REQUEST_BYTES: usize = 4 << 20;
/// A reply message.
pub const REPLY_BYTES: usize = 8 << 20;
/// Request headers, all together.
pub const HEADER_BYTES: u32 = 16 << 10;
/// Open connections.
pub const CONNECTIONS: usize = 1_024;
/// TLS handshakes under way.
pub const HANDSHAKES: usize = 128;
/// A TLS handshake.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// After its handshake a connection must begin to speak HTTP/2 (the 24 bytes of
/// RFC 9113, 3.4).
pub const PREFACE_TIME: Duration = Duration::from_secs(10);
/// After a failed accept the next one waits: this long at first, then twice as
/// long each time.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// The longest wait after a failed accept.
pub const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// An idle connection is asked by TCP whether its peer is there.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// Streams of one connection.
pub const STREAMS_PER_CONNECTION: u32 = 256;
/// Streams reset by a peer before they were accepted (CVE-2023-44487).
pub const PENDING_RESETS: usize = 64;
/// Streams that the server reset because the peer broke the protocol, before
/// the connection is closed.
pub const ERROR_RESETS: usize = 256;
/// One HTTP/2 frame (RFC 9113, 4.2: the smallest that may be set).
pub const FRAME_BYTES: u32 = 16 << 10;
/// What a peer may send on one stream before it is read.
pub const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// What a peer may send on all streams of a connection before it is read.
pub const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// A connection without an answer to a keep-alive ping is closed.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long the answer to a keep-alive ping may take.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A unary call.
pub const CALL_TIME: Duration = Duration::from_secs(10);
/// A stream, from start to end.
pub const STREAM_TIME: Duration = Duration::from_secs(3_600);
/// Calls under way before others are shed.
pub const CALLS_IN_FLIGHT: usize = 1_024;
/// Streams under way before others are shed.
pub const STREAMS_IN_FLIGHT: usize = 128;
/// Of these, those of one principal.
pub const STREAMS_PER_PRINCIPAL: usize = 64;
/// A stream whose reader takes no chunk for this long ends.
pub const STREAM_STALL_TIME: Duration = Duration::from_secs(60);
/// How long a shed caller is asked to wait.
pub const SHED_RETRY: Duration = Duration::from_millis(250);
/// How long a drain waits for calls under way.
pub const DRAIN_TIME: Duration = Duration::from_secs(20);
/// How often the files of certificates, policy and roles are looked at.
pub const RELOAD_LOOK: Duration = Duration::from_secs(3);
/// Open connections to the port of metrics and probes.
pub const PROBE_CONNECTIONS: usize = 16;
/// One request to the port of metrics and probes, from its first byte on.
pub const PROBE_TIME: Duration = Duration::from_secs(5);
/// Distinct principals whose shed calls are counted at the same time.
pub const SHED_PRINCIPALS: usize = 1_024;

/// Reader threads of the store.
pub const READER_THREADS: usize = 1;
/// Reads waiting for a reader thread.
pub const READ_QUEUE: usize = 4_096;
/// Reads that share one state of the files.
pub const READS_PER_STATE: usize = 64;
/// How long a state of `keys.db` is held, and how long jobs may hold up a
/// checkpoint.
pub const READ_STATE_TIME: Duration = Duration::from_millis(10);
/// How long a state of `vault.db` is held while nothing but the log changes.
pub const KEPT_STATE_TIME: Duration = Duration::from_secs(1);
/// A reader's page cache, a file, in KiB (negative, as SQLite wants it).
pub const READER_CACHE_KIB: i64 = -65_536;
/// Pages in a write-ahead log before it is copied into its file.
pub const LOG_PAGES: u64 = 8_192;
/// Changes waiting for a file's writer thread.
pub const WRITE_QUEUE: usize = 8_192;
/// How long a statement waits for another process that has the file.
pub const BUSY_TIME: Duration = Duration::from_secs(2);
/// Changes that share one commit.
pub const CHANGES_PER_COMMIT: usize = 512;
/// How long a commit waits for company, for each change of the one before.
pub const COMMIT_PACE: Duration = Duration::from_micros(100);
/// How long it waits at most.
pub const COMMIT_PACE_MAX: Duration = Duration::from_millis(1);
/// How long a change waits for its commit.
pub const COMMIT_TIME: Duration = Duration::from_secs(5);
/// Steps of erasing what is not held of a customer: three, as often as a hold
/// ends meanwhile, and those that lost a race.
pub const PART_STEPS: usize = 32;
/// Tries at a change that lost a race for its revision.
pub const REVISION_RETRIES: usize = 8;
/// How long an erasure waits for the last reader before it says
/// ERASURE_PENDING.
pub const TRUNCATE_TIME: Duration = Duration::from_secs(4);
/// How long a pause between two tries at TRUNCATE lasts.
pub const TRUNCATE_PAUSE: Duration = Duration::from_millis(20);
/// How long emptying a log waits for reads of our own that are under way.
pub const QUIET_TIME: Duration = Duration::from_millis(50);
/// How often it is looked whether a job has ended that nobody waits beside.
pub const QUIET_LOOK: Duration = Duration::from_micros(200);
/// Rows that one transaction of a purge deletes.
pub const PURGE_ROWS: usize = 2_000;
/// Such transactions that one sweep of old request ids makes.
pub const SWEEPS_A_LOOK: usize = 16;
/// How long a request id is remembered.
pub const REQUEST_ID_TIME: Duration = Duration::from_secs(24 * 3_600);
/// Disk kept for erasures and their leaves when everything else is full.
pub const RESERVE_BYTES: u64 = 16 << 20;
/// Page keys kept unwrapped.
pub const PAGE_KEYS_CACHED: usize = 65_536;

/// Entries of the ledger that are read, copied or backed up together.
pub const LEDGER_PART: u64 = 4_096;
/// Bytes of a key backup's parts that go into one pack.
pub const PACK_BYTES: usize = 16 << 20;
/// How often a key backup begins anew because an epoch was opened or closed
/// meanwhile.
pub const BACKUP_TRIES: usize = 4;
/// A manifest of a key backup.
pub const MANIFEST_BYTES: usize = 256 << 20;
/// Numbers that are left out after a restore of keys: what was given out after
/// the backup is never given out again.
pub const NUMBERS_SKIPPED: u64 = 1 << 20;
/// Customers that a restore looks at together.
pub const RESTORE_BATCH: usize = 4_096;
/// Numbers of lost customers that a restore tells one by one.
pub const LOST_TOLD: usize = 100;
/// How often the copy of the ledger is brought up to date where nothing was
/// erased and no key compromised.
pub const LEDGER_LOOK: Duration = Duration::from_secs(60);
/// How often it is looked how far a copy of the data has come.
pub const COPY_LOOK: Duration = Duration::from_millis(20);
/// Pages that a closing epoch's pass reads at a time.
pub const CLOSE_PAGES_READ: usize = 64;
/// Dirty pages, of up to 512 keys each, that it stores together.
pub const CLOSE_PAGES_TOGETHER: usize = 4;
/// Such groups that are under way before the next pages are read.
pub const CLOSE_UNDER_WAY: usize = 4;
/// Passes over what is left before the job pauses and begins again.
pub const CLOSE_PASSES: usize = 64;
/// Customers that are opened before an epoch is destroyed.
pub const CLOSE_SAMPLES: usize = 16;
/// The largest `keys.db` that a closing writes anew, so that no copy of a
/// destroyed key is left in an unused part of its pages.
pub const SWEEP_BYTES: u64 = 64 << 20;
/// Records of one customer that a rotation re-encrypts together.
pub const ROTATE_RECORDS_READ: usize = 32;
/// Customers of whom a rotation of many takes note together.
pub const ROTATE_CUSTOMERS_READ: usize = 64;
/// Customers that it works on at the same time.
pub const ROTATE_UNDER_WAY: usize = 16;
/// Passes over a customer's records, who is written to again and again, before
/// the job pauses and begins again.
pub const ROTATE_PASSES: usize = 64;
/// Requests for approval that are shown.
pub const APPROVALS_SHOWN: usize = 100;
/// Why somebody asks for an approval.
pub const APPROVAL_REASON_BYTES: usize = 400;
/// How long a request for approval stands, where the configuration names no time.
pub const APPROVAL_TIME: Duration = Duration::from_secs(24 * 3_600);
/// The longest time that a request for approval may stand.
pub const APPROVAL_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Epochs and generations whose last use is kept in memory, each.
pub const KEY_USES: usize = 4_096;
/// Generations of one customer's field key that may be there at once.
pub const GENERATIONS_AT_ONCE: usize = 8;
/// How often it is looked whether the daily closing is due.
pub const EPOCH_LOOK: Duration = Duration::from_secs(60);
/// How often a watched job is looked at.
pub const WATCH_LOOK: Duration = Duration::from_millis(200);
/// How long a job waits before it tries again after a failure that may pass.
pub const JOB_PAUSE: Duration = Duration::from_secs(2);
/// One call to a key provider, from asking to the answer.
pub const PROVIDER_TIME: Duration = Duration::from_secs(8);
/// Calls waiting for a key provider that answers one at a time.
pub const PROVIDER_QUEUE: usize = 8;
/// What a key provider may answer to one call.
pub const PROVIDER_REPLY_BYTES: u64 = 64 << 10;
/// What AWS KMS may answer: a page of a list of keys.
pub const KMS_REPLY_BYTES: u64 = 1 << 20;
/// Tries of a call to AWS KMS that may be repeated, the first among them.
pub const KMS_TRIES: u32 = 3;
/// The wait before the second, doubled before each further one.
pub const KMS_PAUSE: Duration = Duration::from_millis(200);
/// A connection to AWS KMS.
pub const KMS_CONNECT_TIME: Duration = Duration::from_secs(2);
/// One try.
pub const KMS_ATTEMPT_TIME: Duration = Duration::from_secs(4);
/// Keys of an AWS account in a region that are looked through for the vault's.
pub const KMS_KEYS: usize = 10_000;
/// How many are asked for at a time.
pub const KMS_AT_ONCE: usize = 32;
/// Days that AWS KMS waits before it destroys a key, where the configuration
/// names none: its least.
pub const KMS_PENDING_DAYS: u16 = 7;
/// Its most.
pub const KMS_PENDING_DAYS_MAX: u16 = 30;
/// A file with a provider's PIN or token.
pub const PROVIDER_SECRET_BYTES: u64 = 8 << 10;
/// How long a running vault goes on from memory while no provider answers,
/// where the configuration names no time.
pub const WITHOUT_PROVIDER: Duration = Duration::from_secs(24 * 3_600);
/// The longest time that it may name.
pub const WITHOUT_PROVIDER_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How often the providers are asked whether the open epoch's key is there.
pub const PROVIDER_LOOK: Duration = Duration::from_secs(15);
/// Tries in a row that may fail to open the lock of the keys before each has
/// to wait.
pub const UNLOCK_TRIES: u32 = 5;
/// How long.
pub const UNLOCK_PAUSE: Duration = Duration::from_secs(60);
/// The shortest passphrase.
pub const PASSPHRASE_LEAST: usize = 12;
/// A passphrase or a share.
pub const UNLOCK_BYTES: usize = 1_024;
/// People among whom the lock of the keys may be split.
pub const UNLOCK_SHARES: u8 = 32;
/// Key providers of one vault.
pub const PROVIDERS: usize = 4;

/// A principal's default calls a second, where its role names none.
pub const CALLS_PER_SECOND: u32 = 20_000;
/// Calls a second of all callers together whom the roles file does not know.
pub const STRANGER_CALLS_PER_SECOND: u32 = 100;
/// A principal's default distinct customers an hour, where its role names none.
pub const CUSTOMERS_PER_HOUR: u64 = 1_000_000;

/// History rows of one commit from which on they are kept as a batch.
pub const HISTORY_BATCH: usize = 8;
/// Such batches before they are folded into a sorted run.
pub const HISTORY_BATCHES: usize = 512;
/// Length of a history slot: a customer's audit entries are found slot by slot.
pub const HISTORY_SLOT: Duration = Duration::from_secs(3_600);

/// A leaf: C2SP tlog-tiles puts its length into a `u16`.
pub const LEAF_BYTES: usize = u16::MAX as usize;
/// A signed note (C2SP signed-note asks for room for 16 signatures).
pub const NOTE_BYTES: usize = 16 << 10;
/// Leaves that one read for the log's tree takes: a reader thread is held for
/// no longer than by a batch of records.
pub const LEAVES_PER_READ: usize = 256;
/// Leaves that one checkpoint seals, where more are waiting.
pub const LEAVES_PER_SEAL: u64 = 1_000;
/// One request to a witness, from asking to the answer.
pub const WITNESS_TIME: Duration = Duration::from_secs(5);
/// Requests to a witness about one checkpoint: it may name the size that it has
/// seen, and a second vault may be quicker.
pub const WITNESS_TRIES: usize = 3;
/// Witnesses of one vault.
pub const WITNESSES: usize = 16;
/// How often witnesses are asked, where the configuration does not say.
pub const WITNESS_EVERY: Duration = Duration::from_secs(10);
/// The longest that it may say.
pub const WITNESS_EVERY_MAX: Duration = Duration::from_secs(3_600);
/// The shortest.
pub const WITNESS_EVERY_LEAST: Duration = Duration::from_secs(1);
/// How long too few witnesses may answer before a strict vault is not ready.
pub const WITNESS_GRACE: Duration = Duration::from_secs(60);
/// How often a strict vault asks at start before it does not start.
pub const WITNESS_ROUNDS_AT_START: u32 = 3;
/// Logs that one witness of ours trusts.
pub const WITNESSED_LOGS: usize = 1_024;
/// Hashes of a proof of consistency (c2sp.org/tlog-witness).
pub const PROOF_HASHES: usize = 63;
/// A request to a witness of ours: a proof and a note.
pub const WITNESS_REQUEST_BYTES: usize = NOTE_BYTES + 4_096;
/// Open connections to a witness of ours.
pub const WITNESS_CONNECTIONS: usize = 64;
/// The shortest time that an entry of the log is kept, in days: three months are
/// at hand for whoever must look into something (PCI DSS 4.0, 10.5.1).
pub const LOG_KEPT_LEAST: u32 = 90;
/// Bundles of 256 entries that one read looks at before they are pruned.
pub const PRUNE_BUNDLES: usize = 16;
/// Entries that one transaction of a prune removes.
pub const PRUNE_ENTRIES: u64 = 1_024;
/// Batches of history rows that it removes.
pub const PRUNE_BATCHES: usize = 16;
/// Ranges of calls under way that the entry of a prune tells.
pub const PRUNE_RANGES: usize = 1_024;
/// How often an export begins anew because a prune began meanwhile.
pub const EXPORT_TRIES: usize = 4;
/// How often new leaves are sealed under a checkpoint.
pub const SEAL_EVERY: Duration = Duration::from_millis(500);

/// Entries that one question to the log looks at; the reply says where to go on.
pub const ENTRIES_LOOKED_AT: u64 = 20_000;
/// The longest span of one question about a customer.
pub const HISTORY_SPAN: Duration = Duration::from_secs(31 * 24 * 3_600);

/// Hours with customers in them before what is usual is known of a principal.
pub const SIGNAL_HOURS: u32 = 24;
/// Fields that are remembered of a principal.
pub const SIGNAL_FIELDS: usize = 4_096;
/// Signals that wait to be told.
pub const SIGNALS_WAITING: usize = 1_024;
/// Planted customers.
pub const DECOYS: usize = 64;
/// How often planted customers are looked up.
pub const DECOY_LOOK: Duration = Duration::from_secs(60);
/// The longest period of one audit report.
pub const REPORT_SPAN: Duration = Duration::from_secs(400 * 24 * 3_600);
/// Names that a report counts apart, of a kind; the rest are one.
pub const REPORT_NAMES: usize = 1_024;
/// Turns of keys that a report lists one by one.
pub const REPORT_TURNS: usize = 1_000;

/// How long the command line's client tries to connect.
pub const CLIENT_CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long the client waits for a unary answer: longer than the server's own
/// limit, so that the server's reason arrives.
pub const CLIENT_CALL_TIME: Duration = Duration::from_secs(15);
/// How often the client makes a call that the server asks to repeat.
pub const CLIENT_TRIES: u32 = 6;
/// The longest wait between two tries, whatever the server asks.
pub const CLIENT_WAIT: Duration = Duration::from_secs(2);
/// Rows of an import under way.
pub const IMPORT_IN_FLIGHT: usize = 32;
/// Bad rows of an import that are told one by one; the rest are counted.
pub const IMPORT_TOLD: usize = 100;

/// How often it is written down how many calls were shed.
pub const SHED_TOLD: Duration = Duration::from_secs(1);
/// What a caller is told ahead of its own deadline, so that the answer reaches
/// it.
pub const HEAD_START: Duration = Duration::from_millis(2);
/// How often at most it is looked whether a key provider answers.
pub const PROVIDER_LOOK_LEAST: Duration = Duration::from_secs(1);
/// How often the server looks whether its storage is sound, and old request
/// ids are swept.
pub const STORAGE_LOOK: Duration = Duration::from_secs(1);
/// Ranges of unwritten entries that are kept apart; past that neighbours are
/// taken together.
pub const UNWRITTEN_RANGES: usize = 1_024;
/// Findings of a verification that are told one by one; the rest are counted.
pub const FINDINGS_TOLD: usize = 20;
/// Entries of the vault, beyond an export, that a verification reads at a time.
pub const VERIFY_ENTRIES: usize = 1_000;
/// How often a look-up that met a split of its index page looks.
pub const INDEX_TRIES: usize = 4;
/// A record's body with its groups' slack, as it is stored.
pub const BODY_BYTES: usize = RECORD_BYTES + (64 << 10);
/// How long a purge waits before it tries again after a failure.
pub const PURGE_PAUSE: Duration = Duration::from_secs(1);

// What must hold between them: a change that breaks one of these does not compile.
const _: () = {
    assert!(RECORD_BYTES <= BATCH_BYTES && BATCH_BYTES + RECORD_BYTES < REPLY_BYTES);
    assert!(STREAM_CHUNK_BYTES + RECORD_BYTES < REPLY_BYTES);
    assert!(RECORD_BYTES < REQUEST_BYTES);
    assert!(HEAD_START.as_millis() < CALL_TIME.as_millis());
    assert!(PROVIDER_LOOK_LEAST.as_millis() <= PROVIDER_LOOK.as_millis());
    assert!(RECORDS_PER_CUSTOMER < 1 << 24);
    assert!(FIELDS_PER_TYPE <= FIELD_NUMBER_MAX as usize);
    assert!(STANDINGS <= u16::MAX as usize);
    assert!(COMMIT_TIME.as_millis() < CALL_TIME.as_millis());
    assert!(TRUNCATE_TIME.as_millis() < CALL_TIME.as_millis());
    assert!(PROVIDER_TIME.as_millis() < CALL_TIME.as_millis());
    assert!(CALL_TIME.as_millis() < CLIENT_CALL_TIME.as_millis());
    assert!(READ_STATE_TIME.as_millis() <= 50);
};
