use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::SchemaCompatibility;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::{Serialize, de::DeserializeOwned};

/// The first two bytes of a single-object encoding, followed by the schema's CRC-64-AVRO fingerprint, little-endian.
const SINGLE_OBJECT: [u8; 2] = [0xC3, 0x01];
const SINGLE_OBJECT_HEADER: usize = 10;
/// Confluent's wire format: a zero byte, a big-endian schema id of four bytes, then the datum.
const CONFLUENT: u8 = 0;
const CONFLUENT_HEADER: usize = 5;

/// A kind of event: a Rust type with every version of its Avro schema.
pub trait Event: Serialize + DeserializeOwned + 'static {
    /// The text of each version of the schema, oldest first. Events are written with the last.
    const SCHEMAS: &'static [&'static str];

    /// This event as bytes: Avro single-object encoding with the newest schema.
    fn encode(&self) -> Vec<u8> {
        let newest = Contract::of::<Self>().newest();
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(&newest.header);
        GenericDatumWriter::builder(&newest.schema)
            .human_readable(false)
            .build()
            .and_then(|writer| writer.write_ser(&mut bytes, self))
            .expect("the Rust type and its newest schema agree: tests/compatibility.rs");
        bytes
    }

    /// Whether what was read can be trusted without a fingerprint that is known, of a later version or without a header:
    /// other bytes might be read so by chance. An event that doesn't say how to tell is never read so.
    fn is_credible(&self) -> bool {
        false
    }

    /// The event in `bytes`, which may be in any version's single-object encoding, or in Confluent's wire format.
    /// Of the latter the schema id is not looked up: the newest version that fits the bytes exactly is taken. What fits
    /// none of them may be of a later version, which has added fields behind those that are known: these are read, if the
    /// event [is credible](Self::is_credible) then. So is a datum without any header that fits a version exactly.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let contract = Contract::of::<Self>();
        if bytes.starts_with(&SINGLE_OBJECT) && bytes.len() >= SINGLE_OBJECT_HEADER {
            let (header, datum) = bytes.split_at(SINGLE_OBJECT_HEADER);
            let version =
                contract.versions.iter().find(|it| it.header == header || it.early_header == header);
            return match version {
                Some(version) => Contract::read(version, datum),
                None => contract.later(datum).ok_or(DecodeError::UnknownSchema),
            };
        }
        match bytes {
            [CONFLUENT, ..] if bytes.len() >= CONFLUENT_HEADER => {
                let datum = &bytes[CONFLUENT_HEADER..];
                let event = contract.fitting(datum).or_else(|| contract.later(datum));
                // autorma itself writes single objects alone, so a newer one couldn't read it either.
                let cause = "none that is known fits the bytes behind confluent's header";
                event.ok_or_else(|| DecodeError::Malformed(cause.into()))
            }
            // A credible event begins with a text, which neither header can be taken for.
            bare => {
                let event = contract.fitting(bare).filter(Self::is_credible);
                event.ok_or(DecodeError::UnknownFraming)
            }
        }
    }
}

/// Why bytes aren't an event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Neither a single-object encoding nor Confluent's wire format, nor a datum that can be trusted without.
    #[error("the record is neither an avro single object nor in confluent's wire format")]
    UnknownFraming,
    /// A single object of a schema that isn't among the versions of this event: maybe a newer autorma's.
    #[error("the record was written with a schema that this version of autorma doesn't know")]
    UnknownSchema,
    /// The bytes don't follow the schema they name, or any in Confluent's wire format.
    #[error("the record doesn't follow its schema: {0}")]
    Malformed(String),
    /// Bytes are left over behind the event.
    #[error("{0} bytes are left over behind the event")]
    Trailing(usize),
}

/// The versions of `E`'s schema that the newest can read: all of them, if the contract is kept.
pub fn compatible_versions<E: Event>() -> Vec<Result<(), String>> {
    let contract = Contract::of::<E>();
    let newest = &contract.newest().schema;
    let readable = |version: &Version| match SchemaCompatibility::can_read(&version.schema, newest) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    contract.versions.iter().map(readable).collect()
}

/// The parsed schemas of one kind of event.
struct Contract {
    versions: Vec<Version>,
}

struct Version {
    schema: Schema,
    header: [u8; SINGLE_OBJECT_HEADER],
    /// What logs have that were written before November 26, 2026: see [`Version::of`].
    early_header: [u8; SINGLE_OBJECT_HEADER],
}

impl Version {
    /// A schema is named by the fingerprint of its canonical form, which has no logical types. apache-avro 0.22 leaves
    /// the braces around what had one, `{"type":"long"}`, where the specification and all other libraries have
    /// `"long"`; parsed once more, it is that.
    fn of(text: &str) -> Version {
        let parse = |text: &str| Schema::parse_str(text).expect("schemas/avro holds valid schemas");
        let header = |schema: &Schema| {
            let mut header = [0; SINGLE_OBJECT_HEADER];
            header[..2].copy_from_slice(&SINGLE_OBJECT);
            header[2..].copy_from_slice(&schema.fingerprint::<Rabin>().bytes);
            header
        };
        let schema = parse(text);
        let plain = parse(&schema.canonical_form());
        Version { header: header(&plain), early_header: header(&schema), schema }
    }
}

impl Contract {
    /// Parsed once a process and kept for ever: there is one for each kind of event.
    fn of<E: Event>() -> &'static Contract {
        static CONTRACTS: OnceLock<Mutex<HashMap<TypeId, &'static Contract>>> = OnceLock::new();
        let contracts = CONTRACTS.get_or_init(Mutex::default);
        let mut contracts = contracts.lock().unwrap_or_else(PoisonError::into_inner);
        contracts.entry(TypeId::of::<E>()).or_insert_with(|| Box::leak(Box::new(Contract::parse(E::SCHEMAS))))
    }

    fn parse(schemas: &[&str]) -> Contract {
        Contract { versions: schemas.iter().map(|text| Version::of(text)).collect() }
    }

    fn newest(&self) -> &Version {
        self.versions.last().expect("each event has a schema")
    }

    fn read<E: Event>(written: &Version, datum: &[u8]) -> Result<E, DecodeError> {
        match Self::begin(written, datum)? {
            (event, 0) => Ok(event),
            (_, left) => Err(DecodeError::Trailing(left)),
        }
    }

    /// The event by the newest version that fits the bytes exactly, if one does.
    fn fitting<E: Event>(&self, datum: &[u8]) -> Option<E> {
        self.versions.iter().rev().find_map(|version| Self::read(version, datum).ok())
    }

    /// What a version that isn't known yet has kept, if it can be trusted.
    fn later<E: Event>(&self, datum: &[u8]) -> Option<E> {
        let known = Self::begin(self.newest(), datum).map(|(event, _)| event);
        known.ok().filter(E::is_credible)
    }

    /// The event at the beginning of the bytes, and how many are left.
    fn begin<E: Event>(written: &Version, datum: &[u8]) -> Result<(E, usize), DecodeError> {
        let malformed = |error: apache_avro::Error| DecodeError::Malformed(error.to_string());
        let mut rest = datum;
        // Read as it was written: a field that the version lacks is what the Rust type makes of a missing one.
        let reader = GenericDatumReader::builder(&written.schema).human_readable(false).build();
        let event = reader.and_then(|reader| reader.read_deser::<E>(&mut rest)).map_err(malformed)?;
        Ok((event, rest.len()))
    }
}
