//! The listener that asks who comes: TLS with a certificate of our own, and passwords.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{Doing, Error};

/// Who may do everything.
pub const USER: &str = "autorma";
/// The password of [`USER`].
pub const PASSWORD: &str = "conveyor-4711";
/// Who is known but may do nothing.
pub const STRANGER: &str = "stranger";
/// The password of [`STRANGER`].
pub const STRANGER_PASSWORD: &str = "no-entry-4711";

/// How clients come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Without anything, from this machine.
    #[default]
    Plain,
    /// Beside the plain listener there is one with SASL (PLAIN and SCRAM-SHA-256) over TLS.
    SaslSsl,
}

/// The certificates of a cluster, as PEM files.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    /// The authority that clients must know.
    pub(crate) ca: PathBuf,
    /// The server's key, its certificate and the authority's.
    pub(crate) server: PathBuf,
}

impl Certificates {
    /// Makes an authority and a certificate for this machine, or finds those made earlier.
    pub(crate) fn below(folder: &Path) -> Result<Self, Error> {
        let folder = folder.join("certificates");
        let found = Self { ca: folder.join("ca.pem"), server: folder.join("server.pem") };
        if found.server.exists() {
            return Ok(found);
        }
        fs::create_dir_all(&folder).doing("cannot create a folder for certificates")?;
        openssl(
            &folder,
            "req -x509 -newkey rsa:2048 -noenc -days 3650 -subj /CN=autorma-test-ca \
             -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem",
        )?;
        openssl(
            &folder,
            "req -newkey rsa:2048 -noenc -subj /CN=localhost -keyout server.key -out server.csr",
        )?;
        let extensions = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n\
             basicConstraints=CA:FALSE\n";
        fs::write(folder.join("extensions"), extensions)
            .doing("cannot write the certificate's extensions")?;
        openssl(
            &folder,
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
             -extfile extensions -out server.crt",
        )?;
        let mut chain = String::new();
        for part in ["server.key", "server.crt", "ca.pem"] {
            chain += &fs::read_to_string(folder.join(part)).doing("cannot read a certificate")?;
        }
        fs::write(&found.server, chain).doing("cannot write the server's certificate")?;
        Ok(found)
    }
}

fn openssl(folder: &Path, args: &str) -> Result<(), Error> {
    let output = Command::new("openssl")
        .args(args.split_whitespace())
        .current_dir(folder)
        .output()
        .doing("cannot run openssl; install it (on Debian: apt-get install openssl)")?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error(format!("openssl {args}: {}", String::from_utf8_lossy(&output.stderr))))
}
