//! Where the log is: in the data folder, or on a Kafka cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use autorma_service::settings::{Key, Settings, Table, Verbatim, readable};
use autorma_stream::kafka::{KafkaConfig, guarded, unfit};

const KIND: Key =
    Key::new("log.kind", "embedded", "where the log is: embedded (in the data folder) or kafka");
const PARTITIONS: Key = Key::new(
    "log.partitions",
    "4",
    "partitions of a new log's topics: how many classifiers can share the work; an existing log keeps its own",
);
const RETENTION: Key = Key::new(
    "log.retention",
    "7d",
    "how long events stay: in a data folder at least until every stage has read them, by what was set last; on a cluster \
     whoever has read them, by what its topics were created with",
);
const BROKERS: Key =
    Key::new("log.kafka.brokers", "", "where the cluster is: HOST:PORT, separated by commas");
const PREFIX: Key = Key::new(
    "log.kafka.prefix",
    "",
    "what the names of topics, groups and transactional ids begin with on the cluster",
);
const REPLICATION: Key = Key::new(
    "log.kafka.replication",
    "0",
    "copies of each partition of a new topic; 0 leaves it to the cluster",
);
const SECURITY: Key = Key::new(
    "log.kafka.security",
    "plaintext",
    "how the connection is secured: plaintext, ssl, sasl_plaintext or sasl_ssl",
);
const MECHANISM: Key = Key::new(
    "log.kafka.mechanism",
    "SCRAM-SHA-256",
    "how SASL proves who this is: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
);
const USERNAME: Key = Key::new("log.kafka.username", "", "the user for SASL");
const PASSWORD: Key = Key::new(
    "log.kafka.password",
    "",
    "the password for SASL; set it in the environment or in log.kafka.password_file, not on the command line",
)
.secret();
const PASSWORD_FILE: Key =
    Key::new("log.kafka.password_file", "", "a file that holds the password and nothing else");
const CA: Key =
    Key::new("log.kafka.ca", "", "PEM file of the authorities that are trusted; empty for the system's");
const CERTIFICATE: Key =
    Key::new("log.kafka.certificate", "", "PEM file of this client's certificate, if it has one");
const KEY: Key = Key::new("log.kafka.key", "", "PEM file of the certificate's key");
const SESSION: Key = Key::new(
    "log.kafka.session_timeout",
    "10s",
    "how long a stage that says nothing counts as living; then its partitions go to others",
);
const TRANSACTION: Key = Key::new(
    "log.kafka.transaction_timeout",
    "10s",
    "how long a transaction may take; so long may one that died hide what was written behind it",
);
const PROPERTIES: Table =
    Table { prefix: "log.kafka.properties.", rest: "NAME", about: "a property of librdkafka", dotted: true };

/// What is called secret, by librdkafka or by Java, whose properties people try, too.
const SECRETS: [&str; 5] = ["pass", "secret", "pem", "oauthbearer.config", "jaas"];

/// Where the log is and how a new one is made.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    pub(crate) partitions: u32,
    pub(crate) retention: Duration,
    /// Whether anybody has set it.
    pub(crate) retention_chosen: bool,
    /// The cluster; none if the log is in the data folder.
    pub(crate) kafka: Option<KafkaConfig>,
}

impl LogSettings {
    /// Reads them; what is wrong is left in the settings.
    pub(crate) fn read(settings: &mut Settings) -> Self {
        let kind: String = settings.get_if(&KIND, |kind: &String| one_of(kind, &["embedded", "kafka"]));
        let is_kafka = kind == "kafka";
        let partitions = settings.get(&PARTITIONS, 1..=1000);
        let retention = settings.get(&RETENTION, Duration::from_secs(60)..);
        let config = kafka(settings, is_kafka);
        let retention_chosen = settings.origin(RETENTION.name).is_some();
        Self { partitions, retention, retention_chosen, kafka: is_kafka.then_some(config) }
    }
}

fn kafka(settings: &mut Settings, is_kafka: bool) -> KafkaConfig {
    let is_said = settings.origin(KIND.name).is_some();
    let brokers: String = settings.get_if(&BROKERS, |brokers: &String| match brokers.is_empty() {
        true if is_kafka => Err("HOST:PORT of the cluster: log.kind is kafka (--brokers)".into()),
        // Whoever names a cluster hardly means the data folder.
        false if !is_said => Err("nothing, unless log.kind says \"kafka\", or \"embedded\"".into()),
        _ => Ok(()),
    });
    let prefix = settings.get_if(&PREFIX, |prefix: &String| {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if prefix.chars().all(is_legal) && prefix.len() <= 100 {
            Ok(())
        } else {
            Err("letters, digits, '.', '_' and '-'".into())
        }
    });
    let replication: u16 = settings.get(&REPLICATION, 0..=100);
    let security = security(settings, is_kafka);
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    let session_timeout = settings.get(&SESSION, second..=hour);
    let transaction_timeout = settings.get(&TRANSACTION, second..=hour / 4);
    let properties = settings.table(&PROPERTIES, is_secret, |name, value| {
        if let Some(why) = guarded(name) {
            return Err(format!("what autorma sets itself, so leave it out: {why}"));
        }
        unfit(name, value).map_or(Ok(()), |why| Err(format!("what librdkafka takes, which says: {why}")))
    });
    let replication = (replication > 0).then_some(replication);
    KafkaConfig { brokers, prefix, replication, session_timeout, transaction_timeout, security, properties }
}

/// Whether a property's value is never shown. One of those that say who this is may be a misspelt password.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_unknown = || unfit(&name, "").is_some_and(|why| why.starts_with("No such configuration property"));
    let says_who = name.starts_with("sasl.") || name.starts_with("ssl.");
    SECRETS.iter().any(|secret| name.contains(secret)) || says_who && is_unknown()
}

/// As librdkafka calls it.
fn security(settings: &mut Settings, is_kafka: bool) -> BTreeMap<String, String> {
    let protocols = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
    let protocol: String = settings.get_if(&SECURITY, |it: &String| one_of(it, &protocols));
    let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
    let mechanism: String = settings.get_if(&MECHANISM, |it: &String| one_of(it, &mechanisms));
    let (uses_sasl, uses_tls) = (protocol.starts_with("sasl"), protocol.ends_with("ssl"));
    // What is set and has no part in it would be taken for a protection.
    let unused = |is_set: bool, is_used: bool, protocols: &str| match is_kafka && is_set && !is_used {
        true => Err(format!("nothing, unless log.kafka.security is {protocols}")),
        false => Ok(()),
    };
    let of_sasl = |is_set: bool| unused(is_set, uses_sasl, "sasl_plaintext or sasl_ssl");
    let of_tls = |is_set: bool| unused(is_set, uses_tls, "ssl or sasl_ssl");
    let username = settings.get_if(&USERNAME, |name: &String| match name.is_empty() && uses_sasl {
        true => Err(format!("the user's name, since log.kafka.security is {protocol}")),
        false => of_sasl(!name.is_empty()),
    });
    let Verbatim(password) =
        settings.get_if(&PASSWORD, |Verbatim(password): &Verbatim| of_sasl(!password.is_empty()));
    let from_file = settings.get_if(&PASSWORD_FILE, |path: &PathBuf| {
        let (is_named, is_said) = (!path.as_os_str().is_empty(), !password.is_empty());
        match (is_named, is_said) {
            // Which of them is meant, nobody knows: they may be of different layers.
            (true, true) if is_kafka => {
                Err("nothing, since log.kafka.password is set, too: leave one of them out, or empty".into())
            }
            (false, false) if is_kafka && uses_sasl => Err(format!(
                "a file with the password, or set log.kafka.password: log.kafka.security is {protocol}"
            )),
            (true, _) => readable(std::fs::read_to_string(path)).and_then(|_| of_sasl(true)),
            (false, _) => Ok(()),
        }
    });
    let password = match from_file.as_os_str().is_empty() {
        true => password,
        false => {
            std::fs::read_to_string(&from_file).unwrap_or_default().trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    let mut properties = BTreeMap::from([("security.protocol".to_owned(), protocol.clone())]);
    if uses_sasl {
        properties.insert("sasl.mechanisms".into(), mechanism);
        properties.insert("sasl.username".into(), username);
        properties.insert("sasl.password".into(), password);
    }
    for (key, property) in
        [(&CA, "ssl.ca.location"), (&CERTIFICATE, "ssl.certificate.location"), (&KEY, "ssl.key.location")]
    {
        let path: String = settings.get_if(key, |path: &String| {
            if path.is_empty() {
                return Ok(());
            }
            readable(std::fs::File::open(path)).and_then(|_| of_tls(true))
        });
        if !path.is_empty() && uses_tls {
            properties.insert(property.into(), path);
        }
    }
    properties
}

fn one_of(value: &str, allowed: &[&str]) -> Result<(), String> {
    if allowed.contains(&value) { Ok(()) } else { Err(allowed.join(", ")) }
}

#[cfg(test)]
mod tests {
    use autorma_service::settings::Layer;

    use super::*;

    /// What is read with these settings, and what is wrong with them.
    fn read(set: &[(&str, &str)]) -> (LogSettings, String) {
        let flags = Layer::new("flags").with("log.kafka.brokers", "a:9092", "--brokers");
        let flags = set.iter().fold(flags, |flags, (key, value)| flags.with(key, *value, "--set"));
        let mut settings = Settings::new(vec![flags]);
        let read = LogSettings::read(&mut settings);
        (read, settings.finish().err().map(|problems| problems.to_string()).unwrap_or_default())
    }

    #[test]
    fn what_does_not_protect_the_connection_is_a_problem() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let [sasl, tls] =
            ["sasl_plaintext", "ssl"].map(|it| format!("nothing, unless log.kafka.security is {it}"));
        for (key, value, told) in [
            ("log.kafka.username", "ada", &sasl),
            ("log.kafka.password", "hunter2", &sasl),
            ("log.kafka.password_file", path, &sasl),
            ("log.kafka.ca", path, &tls),
            ("log.kafka.certificate", path, &tls),
            ("log.kafka.key", path, &tls),
        ] {
            let (_, problems) = read(&[("log.kind", "kafka"), (key, value)]);
            assert!(problems.contains(key) && problems.contains(told), "{problems}");
            assert!(!problems.contains("hunter2"), "{problems}");
            assert_eq!(read(&[("log.kind", "embedded"), (key, value)]).1, "", "the log isn't there");
        }
    }

    #[test]
    fn why_a_file_can_t_be_read_is_told() {
        for key in ["log.kafka.password_file", "log.kafka.ca", "log.kafka.certificate", "log.kafka.key"] {
            let told = read(&[("log.kind", "kafka"), (key, "nowhere.pem")]).1;
            assert!(told.contains("a file that can be read (No such file"), "{told}");
        }
    }

    #[test]
    fn brokers_alone_do_not_say_where_the_log_is() {
        let told = read(&[]).1;
        assert!(told.contains("log.kafka.brokers") && told.contains("unless log.kind says"), "{told}");
        for kind in ["embedded", "kafka"] {
            assert_eq!(read(&[("log.kind", kind)]).1, "");
        }
    }

    #[test]
    fn a_property_that_may_hold_a_password_is_not_shown() {
        for name in ["sasl.jaas.config", "SASL.JAAS.config", "ssl.key.Password", "sasl.pwd"] {
            let key = format!("log.kafka.properties.{name}");
            let problems = read(&[("log.kind", "kafka"), (key.as_str(), "password=\"hunter2\"")]).1;
            assert!(problems.contains(name) && !problems.contains("hunter2"), "{problems}");
        }
        assert!(!is_secret("ssl.endpoint.identification.algorithm") && !is_secret("client.id"));
    }

    #[test]
    fn one_password_is_needed_and_enough() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        std::fs::write(path, "hunter3\n").unwrap();
        let with = |password: &str, file: &str| {
            read(&[
                ("log.kind", "kafka"),
                ("log.kafka.security", "sasl_plaintext"),
                ("log.kafka.username", "ada"),
                ("log.kafka.password", password),
                ("log.kafka.password_file", file),
            ])
        };
        let told = with("hunter2", path).1;
        assert!(told.contains("log.kafka.password is set, too") && !told.contains("hunter2"), "{told}");
        let told = with("", "").1;
        assert!(told.contains("or set log.kafka.password"), "{told}");
        for (password, file, taken) in [("", path, "hunter3"), ("hunter2", "", "hunter2")] {
            let (read, problems) = with(password, file);
            assert_eq!((read.kafka.unwrap().security["sasl.password"].as_str(), &*problems), (taken, ""));
        }
    }

    #[test]
    fn a_password_is_taken_as_it_is() {
        let (read, problems) = read(&[
            ("log.kind", "kafka"),
            ("log.kafka.security", "sasl_plaintext"),
            ("log.kafka.username", "ada"),
            ("log.kafka.password", " hunter2 "),
        ]);
        assert_eq!((read.kafka.unwrap().security["sasl.password"].as_str(), &*problems), (" hunter2 ", ""));
    }
}
